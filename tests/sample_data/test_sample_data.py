"""The sample documents: reproducible, long, varied, and with facts that come back."""

import re
import zlib
from itertools import pairwise

import pytest

from model.messages import LANGUAGES, message
from sample_data import SAMPLES, sample_path, sample_text
from sample_data.generate import GENERATORS
from sample_data.grammar import Writer, load_pools
from sample_data.records import Records

WORDY = [key for key, sample in SAMPLES.items() if sample.kind != "degenerate"]

# Said in the first tenth of the document and again in its last quarter.
PLANTED = {
    "plant_log_ja": ["みなと桜に雪", "SK-77-4190"],
    "equipment_spec_en": ["MRW-6093-K", "lantern under the elder tree"],
    "contract_en": ["seven herons at low water", "ESC-4471-Q"],
    "server_log_en": ["VC-3386-L", "amber lighthouse", "EQ-55120"],
    "meeting_minutes_ja": ["青い屋根の測候所", "HB-0317", "総-118-52"],
}


def sentences(key: str) -> list[str]:
    ends = r"(?<=。)|\n" if SAMPLES[key].language == "ja" else r"(?<=[.;?!])\s|\n"
    shortest = 15 if SAMPLES[key].language == "ja" else 40
    return [text.strip() for text in re.split(ends, sample_text(key)) if len(text.strip()) >= shortest]


@pytest.mark.parametrize("key", SAMPLES)
def test_the_generator_gives_the_shipped_file(key):
    assert GENERATORS[key]().encode("utf-8") == sample_path(key).read_bytes()


@pytest.mark.parametrize("key", SAMPLES)
def test_every_sample_has_a_title_in_every_language(key):
    assert all(message(f"app.samples.{key}", language) for language in LANGUAGES)


def test_the_files_together_stay_small():
    sizes = {key: sample_path(key).stat().st_size for key in SAMPLES}
    assert all(148_000 <= sizes[key] <= 350_000 for key in WORDY)
    assert sum(sizes.values()) < 1_500_000


def test_newlines_are_nothing_but_newlines():
    assert set(sample_text("newlines")) == {"\n"}
    assert len(sample_text("newlines")) >= 50_000


@pytest.mark.parametrize("key", WORDY)
def test_no_mark_of_the_grammar_is_left(key):
    text = sample_text(key)
    assert not re.search(r"[\[\]{}|]|\r|\t|  $", text, re.MULTILINE)
    assert not re.search(r"。。|、、|。、|、。", text)


@pytest.mark.parametrize("key", WORDY)
def test_the_text_is_hard_to_compress(key):
    """Prose shrinks to a third or so; a few templates filled again and again would shrink to a tenth."""
    data = sample_path(key).read_bytes()
    assert len(zlib.compress(data, 9)) > 0.21 * len(data)


@pytest.mark.parametrize("key", WORDY)
def test_most_sentences_occur_once(key):
    found = sentences(key)
    assert len(found) > 1200
    assert len(set(found)) > 0.7 * len(found)


@pytest.mark.parametrize("key", WORDY)
def test_no_sentence_follows_itself(key):
    found = sentences(key)
    assert all(one != other for one, other in pairwise(found))


@pytest.mark.parametrize("key", WORDY)
def test_the_vocabulary_is_wide(key):
    text = sample_text(key)
    if SAMPLES[key].language == "ja":
        kanji = set(re.findall(r"[\u4e00-\u9fff]", text))
        assert len(kanji) > 800
    else:
        assert len(set(re.findall(r"[a-z]{2,}", text.lower()))) > 1100


@pytest.mark.parametrize("key", WORDY)
def test_numbers_do_not_crowd_out_words(key):
    text = sample_text(key)
    assert sum(letter.isdigit() for letter in text) < (0.2 if SAMPLES[key].kind == "log" else 0.05) * len(text)


@pytest.mark.parametrize("key", WORDY)
def test_early_facts_come_back_late(key):
    text = sample_text(key)
    for fact in PLANTED[key]:
        assert text.find(fact) != -1
        assert text.find(fact) < 0.1 * len(text), fact
        assert text.rfind(fact) > 0.75 * len(text), fact


@pytest.mark.parametrize(
    "name",
    ["plant_log_ja", "equipment_spec_en", "contract_en", "server_log_en", "minutes_ja", "records_en", "records_ja"],
)
def test_every_line_of_every_pool_can_be_written(name):
    pools = load_pools(name)
    writer = Writer(pools, seed=0)
    for pool, lines in pools.items():
        for line in lines:
            assert writer.write(line), pool
            for low, high in re.findall(r"\{(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)\}", line):
                assert float(low) < float(high), line


def test_a_deck_deals_every_line_before_any_returns():
    writer = Writer({"x": list("abcdefgh")}, seed=3)
    dealt = [writer.draw("x") for _ in range(80)]
    assert all(sorted(dealt[i : i + 8]) == list("abcdefgh") for i in range(0, 80, 8))
    # From one deck to the next, a line rests for at least half a deck.
    assert all(dealt[i] not in dealt[i + 1 : i + 4] for i in range(76))


def test_choices_that_go_together_and_words_that_are_remembered():
    writer = Writer({"animal": ["cat", "dog"]}, seed=1)
    for _ in range(20):
        assert writer.write("[#rain|sun], [#wet|dry]") in {"rain, wet", "sun, dry"}
        first, second = writer.write("{a=animal} and {a}").split(" and ")
        assert first == second
        assert re.fullmatch(r"0\d:[1-5]\d 0\.[4-6]", writer.write("{05-09}:{10-59} {0.4-0.6}"))
        assert writer.write("{^animal}") in {"Cat", "Dog"}


@pytest.mark.parametrize("language", ["en", "ja"])
def test_training_records_are_the_same_every_time_and_share_no_line_with_a_sample(language):
    text = Records(language).text(60_000)
    assert text == Records(language).text(60_000)
    lines = {line for line in text.splitlines() if len(line) > 12}
    assert len(lines) > 600
    own = {line for pool in load_pools(f"records_{language}").values() for line in pool if len(line) > 20}
    for key in WORDY:
        assert not lines & set(sample_text(key).splitlines())
        pools = load_pools("minutes_ja" if key == "meeting_minutes_ja" else key)
        assert not own & {line for pool in pools.values() for line in pool}
