"""The chat: token, chats, the bot's rights and the topic, without posting anything."""

from functools import partial

import requests

from pulsebook.base.settings import Settings
from pulsebook.chat import telegram  # also keeps the token out of urllib3's log
from pulsebook.cli.doctor.findings import Check, Skipped, Wrong

TIMEOUT = min(4.0, telegram.ANSWER_TIMEOUT)  # seconds for a connection, and for an answer
TOKEN, API = "PULSEBOOK_TELEGRAM_TOKEN", "PULSEBOOK_TELEGRAM_API_URL"
NEEDED = {"can_send_messages": "texts", "can_send_photos": "pictures"}


def checks(known: Settings) -> list[Check]:
    """The checks of the bot and of each chat."""
    chats = {"chat": (known.telegram_chat_id, "PULSEBOOK_TELEGRAM_CHAT_ID", known.telegram_thread_id)}
    if known.ops_chat_id != known.telegram_chat_id:
        chats["operations chat"] = (known.ops_chat_id, "PULSEBOOK_TELEGRAM_OPS_CHAT_ID", None)
    bot = Check("bot", partial(me, known))
    if not known.telegram_token.get_secret_value():
        return [bot]
    return [bot, *(Check(name, partial(chat, known, *given), ("bot",)) for name, given in chats.items())]


def me(known: Settings) -> str:
    """Whether the token is one of a bot."""
    if not known.telegram_token.get_secret_value():
        return (
            f"no token ({TOKEN}): messages go to {known.outputs / 'chat' / 'index.html'}, nothing leaves this machine"
        )
    answer = _ask(known, "getMe")
    if not answer.get("ok"):
        raise Wrong(
            f"a token that {known.telegram_api_url} knows", _refusal(answer), f"Correct {TOKEN}: @BotFather shows it."
        )
    return f"the token is that of @{answer['result'].get('username', '?')}"


def chat(known: Settings, chat_id: str, setting: str, topic: int | None) -> str:
    """Whether a chat can be reached and the bot may post texts and pictures there."""
    answer = _ask(known, "getChat", chat_id=chat_id)
    if not answer.get("ok"):
        moved = (answer.get("parameters") or {}).get("migrate_to_chat_id")
        do = f"Its new id is {moved}: set {setting} to it." if moved else f"Add the bot to it, or correct {setting}."
        raise Wrong(f"the chat {chat_id} to be reachable", _refusal(answer), do)
    found = answer["result"]
    kind, title = found.get("type"), found.get("title") or found.get("username") or found.get("first_name") or chat_id
    own = _ask(known, "getMe").get("result", {}).get("id")
    answer = _ask(known, "getChatMember", chat_id=chat_id, user_id=own)
    member = answer["result"] if answer.get("ok") else {"status": _refusal(answer)}
    if missing := _missing(kind, found.get("permissions") or {}, member):
        raise Wrong(
            f"the bot to be in {title} ({kind}) and to post there",
            missing,
            "Add it, or have an administrator give it the right.",
        )
    if topic is not None and not (topic > 0 and found.get("is_forum")):
        why = f"topic {topic} of a chat without topics" if topic > 0 else f"topic {topic}"
        raise Wrong("PULSEBOOK_TELEGRAM_THREAD_ID to be a topic of the chat", why, "Leave it out, or switch topics on.")
    return f"{title} ({kind}): the bot is {member['status']} and may post" + (f", topic {topic}" if topic else "")


def _missing(kind: str, everybody: dict, member: dict) -> str:
    """What the bot lacks to post texts and pictures; empty: nothing."""
    status = member.get("status")
    if (
        status == "creator"
        or (status == "administrator" and kind != "channel")
        or kind == "private"
        and status == "member"
    ):
        return ""
    if kind == "channel":
        allowed = status == "administrator" and member.get("can_post_messages")
        return "" if allowed else f"a bot that is {status} without the right to post"
    if status == "restricted" and member.get("is_member", True):
        everybody = {name: member.get(name, False) for name in NEEDED}
    elif status != "member":
        return f"a bot that is {status}"
    lacking = [what for name, what in NEEDED.items() if everybody.get(name) is False]
    return f"a bot that is {status} and may send no {' and no '.join(lacking)}" if lacking else ""


def _ask(known: Settings, method: str, **fields) -> dict:
    """The answer to a method that changes nothing."""
    url = f"{known.telegram_api_url}/bot{known.telegram_token.get_secret_value()}/{method}"
    problem = ""
    try:
        answer = requests.post(url, data=fields, timeout=TIMEOUT, allow_redirects=False).json()
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            problem = "an answer that is not Telegram's"
        elif answer.get("error_code") == 429:
            problem = "429"
    except requests.exceptions.JSONDecodeError:
        problem = "an answer that is not Telegram's"
    except requests.RequestException as error:
        problem = f"no answer ({type(error).__name__})"
    if problem == "429":
        raise Skipped("Telegram asks for a pause: run this again in a minute")
    if problem:  # outside the handlers: their exceptions name the URL, and with it the token
        raise Wrong(
            f"the Bot API at {known.telegram_api_url}", problem, f"Is {API} right, and does a proxy let it through?"
        )
    return answer


def _refusal(answer: dict) -> str:
    return f"{answer.get('error_code')} {answer.get('description')}"
