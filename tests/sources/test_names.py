"""A folder may be called anything; a data set may not."""

from __future__ import annotations

import pytest

from modelyard.errors import DataError
from modelyard.sources.names import BUILT_IN, LEGAL, check_name, nearest, safe_name


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("My Pets", "my-pets"),
        ("mnist", "mnist-folder"),
        ("MNIST", "mnist-folder"),
        ("auto", "auto-folder"),
        (".hidden", "hidden"),
        ("it's \"quoted\" 'twice'", "it-s-quoted-twice"),
        ("Größe Äpfel", "grosse-apfel"),
        ("../up", "up"),
        ("a/b\\c@d=1;--", "a-b-c-d-1"),
        ("v1.2_final", "v1.2_final"),
        ("x" * 300, "x" * 64),
    ],
)
def test_folder_names_become_safe(folder: str, name: str) -> None:
    assert safe_name(folder) == name
    check_name(safe_name(folder))


@pytest.mark.parametrize("folder", ["", "..", "   ", "猫", "犬", "'", "-_."])
def test_names_without_a_latin_letter_are_legal_and_distinct(folder: str) -> None:
    assert LEGAL.fullmatch(safe_name(folder))
    assert safe_name("猫") != safe_name("犬")


@pytest.mark.parametrize("name", ["My Pets", "a'b", "..", ".a", "-a", "a/b", "é", "", "x" * 65, "a\n"])
def test_unsafe_names_are_refused_with_one_that_is_not(name: str) -> None:
    with pytest.raises(DataError, match=r"expected lower-case letters, digits and -_\.") as refused:
        check_name(name)
    check_name(str(refused.value).rpartition(" ")[2])


@pytest.mark.parametrize("name", [*BUILT_IN, "auto"])
def test_built_in_names_are_taken(name: str) -> None:
    with pytest.raises(
        DataError, match=f"'{name}' is a built-in data set; choose another --name, such as {name}-folder"
    ):
        check_name(name)


def test_a_misspelt_name_gets_its_neighbour() -> None:
    assert nearest("mnits", BUILT_IN) == " (did you mean mnist?)"
    assert nearest("zebra", BUILT_IN) == ""
