"""Templates in DAGs that render native objects (`render_template_as_native_obj`).

There Jinja evaluates whatever text it has rendered: `"2026"`, or the id of a run in digits, becomes a number. Here a template
that is one expression gives the value of that expression, and any other gives text.
"""

from jinja2 import Template, Undefined


def rendered(template: Template, context: dict) -> object:
    """The value of a template that a native environment has compiled.

    Raises:
        jinja2.UndefinedError: a name in it is not known, also where the name is all there is.
    """
    parts = list(template.root_render_func(template.new_context(dict(context))))
    is_value = len(parts) == 1 and not isinstance(parts[0], Undefined)
    return parts[0] if is_value else "".join(map(str, parts))
