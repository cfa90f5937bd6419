"""Templates in DAGs that render native objects (`render_template_as_native_obj`).

There Jinja evaluates whatever text it has rendered: `"2026"`, or the id of a run in digits, becomes a number. Here a template
that is one expression gives the value of that expression, and any other gives text.
"""

from jinja2 import Template


def rendered(template: Template, context: dict) -> object:
    """The value of a template that a native environment has compiled."""
    parts = list(template.root_render_func(template.new_context(dict(context))))
    return parts[0] if len(parts) == 1 else "".join(map(str, parts))
