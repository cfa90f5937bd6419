"""The Russian of what a page says of itself where it shows less than the notebook holds, by its English."""

NOTES = {
    "A secret in the code was taken out and reads [redacted]: run the notebook from its source, not from here.": (
        "Секрет в коде удалён, на его месте стоит [redacted]: запускайте ноутбук из его источника, а не отсюда."
    ),
    "The code of this cell has lost a text that looks like a secret: as it stands here it does not do what it did.": (
        "Из кода этой ячейки удалён текст, похожий на секрет: в таком виде код делает не то, что делал."
    ),
    "The cells are not shown: {}.": "Ячейки не показаны: {}.",
    "{} cannot be read as a notebook: {}": "{} не читается как ноутбук: {}",
    "{} is no notebook: it has no list of cells": "{}: не ноутбук, в файле нет списка ячеек",
    "This cell cannot be shown ({}); this is its source, the notebook holds the rest.": (
        "Эту ячейку показать нельзя ({}): здесь её код, остальное есть в ноутбуке."
    ),
    "Something is not shown: {}.": "Показано не всё: {}.",
    "Interactive parts of this cell ({}) are not shown: this page runs no scripts.": (
        "Интерактивные части этой ячейки ({}) не показаны: на этой странице скрипты не выполняются."
    ),
    "An output cannot be shown ({}); the notebook holds it.": "Вывод показать нельзя ({}): он есть в ноутбуке.",
    "{} of code are left out: the page is full. The notebook holds them.": (
        "Код не показан ({}): страница заполнена. Он есть в ноутбуке."
    ),
    "The notebook ended itself here: what comes after did not run.": (
        "Здесь ноутбук завершил себя сам: дальше ничего не выполнялось."
    ),
    "A picture ({}) is not shown: {}.": "Рисунок ({}) не показан: {}.",
    "The picture {} is not shown: {}.": "Рисунок {} не показан: {}.",
    "The picture is damaged: {}.": "Рисунок повреждён: {}.",
    "The picture {} is damaged: {}.": "Рисунок {} повреждён: {}.",
    "An interactive output ({}) is not shown: this page runs no scripts.": (
        "Интерактивный вывод ({}) не показан: на этой странице скрипты не выполняются."
    ),
    "This is its static form:": "Вот его неподвижный вид:",
    "An output is not shown: no page shows the kind {}. The notebook holds it.": (
        "Вывод не показан: вид {} ни одна страница не показывает. Он есть в ноутбуке."
    ),
    "{} of this output are left out; the notebook holds them.": "Часть этого вывода не показана ({}): она есть в ноутбуке.",
    "An output of {} is left out: the page is full. The notebook holds it.": (
        "Вывод не показан ({}): страница заполнена. Он есть в ноутбуке."
    ),
    "{} of Markdown are left out: the page is full. The notebook holds them.": (
        "Текст не показан ({}): страница заполнена. Он есть в ноутбуке."
    ),
    "{} of Markdown are shown as they were written.": "Текст показан так, как написан: {}.",
    "Markdown is shown as it was written: it cannot be rendered ({}).": (
        "Текст показан так, как написан: разметку не удалось прочитать ({})."
    ),
    "An output is shown without its markup, which is too entangled to be made safe.": (
        "Вывод показан без разметки: она слишком запутана, чтобы сделать её безопасной."
    ),
    "… {} left out; the notebook holds them …": "… пропущено: {}; они есть в ноутбуке …",
    "cell {} is no cell but {}": "ячейка {} — не ячейка, а {}",
    "the kind of this cell is {}, which is none of a notebook's": "вид этой ячейки — {}, в ноутбуках такого нет",
    "the outputs of this cell are {}, not a list": "вывод этой ячейки — {}, а не список",
    "the data of this output is {}, not a bundle by kind": "данные этого вывода — {}, а не набор по видам",
    "this output is of the kind {}": "вид этого вывода — {}",
    "an output is {}": "вывод — {}",
    "of the type {}": "тип {}",
    "empty": "пусто",
    "it is of the kind {}; a page shows {}": "это {}, а страница показывает {}",
    "its data is {}, not text": "его данные — {}, а не текст",
    "its data is no {}": "его данные — не {}",
    "its data is no base64": "его данные — не base64",
    "its data is no picture": "его данные — не рисунок",
    "it has {} MB, more than {}": "в нём {} МБ, больше {}",
    "it has more than {} MB": "в нём больше {} МБ",
    "it ends before its end": "он обрывается",
    "its address holds no picture": "в его адресе нет рисунка",
    "it is not attached to the cell": "он не приложен к ячейке",
    "its attachment is empty": "его вложение пусто",
    "the folder of its notebook is not here": "папки его ноутбука здесь нет",
    "it does not lie in the notebook's folder": "он лежит не в папке ноутбука",
    "there is no such file in the notebook's folder": "в папке ноутбука нет такого файла",
    "its file cannot be read ({})": "его файл не читается ({})",
    "its SVG defines entities, which may grow without end": "его SVG определяет сущности, которые могут расти без конца",
    "the page holds {} MB of pictures already": "на странице уже {} МБ рисунков",
    "a page fetches nothing from elsewhere": "страница ничего не загружает извне",
}
