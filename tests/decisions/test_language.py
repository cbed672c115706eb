"""Which language a text is in."""

from __future__ import annotations

import pytest

from holdfast.decisions.text.language import STEMMERS, likely_language, likely_languages, stop_words


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("I moved to Chicago with my two daughters", "en"),
        ("Likes running", "en"),
        ("Vegetarian", "en"),
        ("the Café", "en"),
        ("Vivo en Sevilla con mis dos hijas", "es"),
        ("Ich wohne mit meinen zwei Töchtern in Leipzig", "de"),
        ("J'habite à Lyon avec mes deux filles", "fr"),
        ("Moro em Lisboa com as minhas duas filhas", "pt"),
        ("Abito a Torino con le mie due figlie", "it"),
        ("Я живу в Казани с двумя дочерьми", "ru"),
        ("Jag bor i Göteborg med mina två döttrar", "sv"),
        ("İki kızımla birlikte İzmir'de yaşıyorum", "tr"),
        ("मैं अपनी दो बेटियों के साथ दिल्ली में रहता हूँ", "hi"),
        ("أعيش في القاهرة مع ابنتي", "ar"),
        ("我和两个女儿住在成都", "zh"),
        ("娘二人と京都に住んでいます", "ja"),
    ],
)
def test_the_language_of_a_sentence_is_found(text: str, language: str) -> None:
    assert likely_languages(text)[0] == likely_language(text) == language


@pytest.mark.parametrize("text", ["", " ", "42", "\ud800", "\0", "🎾"])
def test_a_text_that_tells_no_language_has_some(text: str) -> None:
    assert likely_languages(text)[0] == likely_language(text)


def test_every_stemmer_is_there_and_serves_a_language_that_is_told_apart() -> None:
    import Stemmer

    assert set(STEMMERS.values()) <= set(Stemmer.algorithms())
    assert set(STEMMERS) - set(likely_languages("a")) <= {"nb", "yi"}


def test_a_language_without_a_list_has_no_stop_words() -> None:
    assert "the" in stop_words("en")
    assert stop_words("ta") == frozenset()
