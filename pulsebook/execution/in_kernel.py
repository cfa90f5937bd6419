"""Loaded into IPython kernels as an extension, so that the runner hears how a cell ended.

- What a cell raised is stated in words of its own. IPython shows groups of exceptions, usage errors and what a handler of
  the cell's own (`set_custom_exc`) takes as mere text, and a message that cannot be made into text ends without a reply.
- Of a label that a table of pandas lacks the words say what it has: pandas' own message is the label alone.
- `!pip` and other programs are those of the kernel's own environment, also where that is not the one in PATH.
- `exit()` and `quit()` end the cell there and then, as they do in Python: IPython's let it go on to its last line.
- `%pulsebook` of a notebook that is open in JupyterLab, which asked for this run, does nothing here.
- Half a surrogate pair in an output or an error no longer keeps the kernel from sending it.
- The kernel ends at once: of seven one waited for a thread that it had stopped, until it was killed a second later.

Only the standard library: it runs in whatever environment the kernel has, from Python 3.8 on.
"""

import atexit
import difflib
import json
import os
import re
import sys
import warnings

STATED = "application/vnd.pulsebook.error+json"  # {"ename": …, "evalue": …}, in a display_data message
MEMBERS, LENGTH = 10, 500  # of a group: so many exceptions are named, with so many characters each


LABELS = 40  # of a table: so many are listed
QUOTED = re.compile("'([^']*)'")


def load_ipython_extension(shell):
    """IPython's hook."""

    def state(result):
        error = result.error_before_exec or result.error_in_exec
        if error is not None:
            name, message = words(error)
            shell.display_pub.publish({STATED: {"ename": name, "evalue": message}, "text/plain": ""})

    own_programs_first()
    warnings.filterwarnings("ignore", "To exit: use")  # IPython's, about what ends a notebook on purpose
    shell.events.register("post_run_cell", state)
    shell.user_ns["exit"] = shell.user_ns["quit"] = _leaving()
    shell.register_magic_function(lambda line: None, "line", "pulsebook")
    session = shell.kernel.session
    pack = session.pack

    def tolerant(content):
        try:
            return pack(content)
        except UnicodeEncodeError:
            return json.dumps(content, default=str).encode("ascii")

    session.pack = tolerant
    end_in_turn(shell.kernel)


def end_in_turn(kernel):
    """Have the thread that sends outputs stop after the control thread, which talks through it until it has ended itself."""
    outputs, control = kernel.iopub_thread, getattr(kernel, "control_thread", None)
    stop = outputs.stop

    def stop_in_turn():
        if control is not None and control.is_alive():
            control.stop()
            control.join()
        stop()

    atexit.unregister(stop)
    atexit.register(stop_in_turn)
    outputs.stop = stop_in_turn


def own_programs_first():
    """Have `!program` find those of the environment that this kernel runs in."""
    own, path = os.path.dirname(sys.executable), os.environ.get("PATH", os.defpath)
    if path.split(os.pathsep)[0] != own:
        os.environ["PATH"] = own + os.pathsep + path


def words(error, depth=0):
    """Name and message of an exception; a group's message names its members. Never fails."""
    error = _unspeakable(error)
    message = _message(error) + lacking(error)
    members = getattr(error, "exceptions", None)
    if isinstance(members, (list, tuple)) and depth < 5 and all(isinstance(m, BaseException) for m in members):
        said = [": ".join(filter(None, words(member, depth + 1)))[:LENGTH] for member in members[:MEMBERS]]
        more = [f"and {len(members) - MEMBERS} more"] if len(members) > MEMBERS else []
        message = f"{message}: {'; '.join(said + more)}"
    return type(error).__name__, message


def _unspeakable(error):
    """The exception whose message could not be shown, where that failure is all that IPython knows; else the exception."""
    trace = error.__traceback__
    while trace is not None:
        subject = trace.tb_frame.f_locals.get("self")
        if trace.tb_frame.f_code.co_name in ("__str__", "__repr__") and isinstance(subject, BaseException):
            return subject
        trace = trace.tb_next
    return error


def lacking(error):
    """Of a KeyError out of pandas: the columns of the table, or labels of the series, and which may be meant. Never fails."""
    try:
        table, trace = None, error.__traceback__ if isinstance(error, KeyError) else None
        while trace is not None:
            owner = trace.tb_frame.f_locals.get("self")
            if type(owner).__module__.split(".")[0] == "pandas" and hasattr(owner, "keys"):
                table = owner
            trace = trace.tb_next
        labels = [label for label in table.keys()[:LABELS] if isinstance(label, str)] if table is not None else []
        if not labels:
            return ""
        said = str(error.args[0])
        close = difflib.get_close_matches((QUOTED.findall(said) or [said])[0], labels, 1)
        kind = "columns" if hasattr(table, "columns") else "labels"
        return f"; the {kind} are {', '.join(labels)}{f': is {close[0]} meant?' if close else ''}"
    except Exception:  # whatever stands in the way: the error itself is to be told
        return ""


def _message(error):
    try:
        return str(error)
    except BaseException as failure:
        return f"its message cannot be shown: str() of it raises {type(failure).__name__}"


def _leaving():
    from IPython.core.autocall import IPyAutocall

    class Leaving(IPyAutocall):
        """Ends the notebook: `exit`, `exit()`, `quit(3)`."""

        rewrite = False

        def __call__(self, code=None, keep_kernel=None):
            raise SystemExit(code)

    return Leaving()
