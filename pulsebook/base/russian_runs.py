"""The Russian of what runs say: how they ended, what their numbers are called, why they failed; by its English."""

STATUSES = {
    "succeeded": "успешно",
    "skipped": "пропущено",
    "running": "выполняется",
    "waiting": "ждёт",
    "failed": "ошибка",
    "timed out": "время вышло",
    "killed": "прервано",
    "kernel died": "ядро погибло",
}
FACTS = {
    "rows": "строки",
    "rows read": "прочитано строк",
    "users": "пользователи",
    "feed": "лента",
    "senders": "отправители",
    "receivers": "получатели",
    "receive_only": "только получали",
    "profiles of earlier days": "профили прежних дней",
    "values": "значений",
    "slots": "интервалы",
    "missing slots": "интервалы без данных",
    "slots checked": "проверено интервалов",
    "metrics off": "метрики с отклонениями",
    "messages": "сообщения",
    "edits": "правки",
    "incidents": "инциденты",
    "open incidents": "открытые инциденты",
    "messages a week": "сообщений в неделю",
    "feed_only": "только лента",
    "messenger_only": "только мессенджер",
    "both": "лента и мессенджер",
    "retention": "удержание",
    "expected": "ожидалось",
    "low": "нижняя граница",
    "high": "верхняя граница",
    "deviation": "отклонение",
    "score": "оценка",
    "anomaly": "аномалия",
    "level": "уровень",
    "days": "дни",
    "changed": "изменилось",
    "missing": "не загружено",
    "unfinished": "не завершено в источнике",
    "no longer countable": "больше не посчитать",
    "the {} days before are as they were loaded": "предыдущие дни ({}) такие, какими были загружены",
    "numbers": "чисел",
    "corrected": "исправлено",
    "replies": "ответов",
    "small corrections": "малых исправлений",
    "{} more numbers are not stated as facts": "чисел, которые не сохранены: {}",
}
ERRORS = {
    "{} has no rows on {}": "в {} нет строк за {}",
    "{} looks unfinished on {}: its last event is {} hours before midnight, expected at most {}": (
        "{} за {} выглядит неполной: последнее событие за {} ч до полуночи, ожидалось не больше {}"
    ),
    "complete: the last event is {} minutes before midnight": "день полный: последнее событие за {} мин до полуночи",
    "etl has not loaded {} yet": "данные за {} ещё не загружены",
    "it waited, and nobody has looked again since {}: {}": "ждал, но с {} никто больше не проверял: {}",
    "it waited, and try {} goes on in its place": "ждал; вместо него продолжает попытка {}",
    "Nothing was posted. Clear the task when the source is complete.": (
        "Ничего не отправлено. Перезапустите задачу, когда источник будет полон."
    ),
    "Nothing was written. Wait for the source and run again, or set allow_unfinished.": (
        "Ничего не записано. Дождитесь источника и запустите снова или задайте allow_unfinished."
    ),
    "It is not loaded again.": "День не загружается заново.",
    "{} of {} parts posted now": "отправлено частей: {} из {}",
    ", {} already before": ", раньше: {}",
    "took longer than {} s": "дольше {} с",
    "the run was cut off": "запуск прервался",
    "the task was told to stop": "задаче велели остановиться",
    "process {} on {} ended without a word": "процесс {} на {} закончился без объяснений",
    "the kernel restarted itself: all variables are lost": "ядро перезапустилось само: все переменные потеряны",
    "the kernel no longer listens: another program has taken its process, or it closed its sockets": (
        "ядро больше не отвечает: его процесс занят другой программой, или оно закрыло свои сокеты"
    ),
    "the kernel was stopped (SIGSTOP) and not continued": "ядро остановлено (SIGSTOP) и не продолжено",
    "the kernel died before it was ready": "ядро погибло, ещё не начав работу",
    "the kernel was not ready within {} s": "ядро не начало работу за {} с",
    "the kernel died: how is not known, since the fork server that had started it was ended before": (
        "ядро погибло: как именно, неизвестно, потому что процесс, который его запустил, завершён раньше"
    ),
    "the kernel died: its process ended itself with exit code {}": "ядро погибло: его процесс завершился сам с кодом {}",
    "the kernel died: {} ({})": "ядро погибло: {} ({})",
    "out of memory, or killed from outside?": "не хватило памяти, или его остановили извне?",
    "the kernel died: {}": "ядро погибло: {}",
    "the kernel died: {}, a crash in compiled code": "ядро погибло: {}, сбой в скомпилированном коде",
}
