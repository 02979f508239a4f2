"""The word of the day: an everyday word in a sentence, queried at the end.

Words have different numbers of tokens in every tokenizer. Those of the commonest number are used, so that all prompts
of a cell are equally long.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from model.studies.passkey.words import Item, Key, Words, query_last

if TYPE_CHECKING:
    import numpy as np

    from model.studies.passkey.task import PasskeyTask

SENTENCES = {
    "en": (
        "\nThe word of the day is{key}. Remember it:{key} is the word of the day.\n",
        "\nWhat is the word of the day? The word of the day is{key}",
    ),
    "ja": (
        "\n今日の言葉は「{key}」です。忘れないでください。「{key}」が今日の言葉です。\n",
        "\n今日の言葉は何ですか。今日の言葉は「{key}",
    ),
}
"""The needle with the word, and its query. English words bring the space before them along."""

CHOICE = {
    "en": "apple bridge candle desert engine forest garden hammer island jacket kettle ladder mirror needle orange "
    "pencil quartz ribbon saddle tunnel umbrella valley window yellow anchor basket copper dragon feather guitar",
    "ja": "りんご 橋 ろうそく 砂漠 森 庭 金づち 島 上着 はしご 鏡 針 鉛筆 石英 鞍 傘 谷 窓 いかり かご 銅 竜 羽 川 "
    "灯台 本棚 雪 羊 船 滝",
}
"""The words that may be drawn."""


def write(words: Words, task: PasskeyTask, random: np.random.Generator) -> Item:
    """A sentence with the word twice, and the query for it."""
    needle, query = SENTENCES[task.language]
    before = " " if task.language == "en" else ""
    found = [Key(word, words.ids(before + word)) for word in CHOICE[task.language].split()]
    (size, _), *_ = Counter(len(key.ids) for key in found).most_common(1)
    fitting = [key for key in found if len(key.ids) == size]
    key = fitting[int(random.integers(len(fitting)))]
    return query_last(words.fill(needle, key=key.ids), words.fill(query, key=key.ids), key)
