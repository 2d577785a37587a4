"""Tables as text: alignment, wide characters, control characters."""

from trainyard.terminal.tables import table


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    text = table(["name", "value"], [["a", 1], ["a longer name", 12345]], right=["value"])
    assert text.splitlines() == [
        "name           value",
        "a                  1",
        "a longer name  12345",
    ]


def test_nothing_is_wrapped_or_cut() -> None:
    assert table(["", ""], [["x" * 300, "y" * 300]]) == "x" * 300 + "  " + "y" * 300


def test_wide_characters_take_two_columns() -> None:
    assert table(["", ""], [["猫", "1"], ["cat", "2"]]).splitlines() == ["猫   1", "cat  2"]


def test_control_characters_and_markup_are_shown_as_text() -> None:
    assert table(["a", "b"], [["\x1b[31m", "[red]x[/red]"], ["two\nlines", None]]).splitlines() == [
        "a           b",
        r"\x1b[31m    [red]x[/red]",
        r"two\nlines",
    ]
