import pytest

from gpucnn.errors import (
    ConfigError,
    brief,
    check_range,
    did_you_mean,
    install_advice,
    nearest,
    shortened,
)


def test_did_you_mean_names_the_nearest_or_all():
    assert did_you_mean("adm", ["sgd", "adam"]) == 'did you mean "adam"?'
    assert did_you_mean("xyz", ["sgd", "adam"]) == "known: adam, sgd"


def test_did_you_mean_names_those_that_contain_the_word():
    known = ["max_pool2d_forward", "avg_pool2d_forward", "softmax_cross_entropy"]
    assert did_you_mean("entropy", known) == 'did you mean "softmax_cross_entropy"?'
    assert did_you_mean("pool", known) == (
        "did you mean one of avg_pool2d_forward, max_pool2d_forward?"
    )
    assert did_you_mean("ol", known).startswith("known: ")


def test_the_nearest_may_be_one_that_begins_so():
    known = ["relu_input_grad", "relu_forward", "add"]
    assert nearest("relu", known) == "relu_forward"
    assert nearest("ad", known) == "add"
    assert nearest("r", known) == nearest("sigmoid", known) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3, "3"),
        ("few", "'few'"),
        ("\x1b\n\udce9", r"'\x1b\n\udce9'"),
        (10**400, "0x"),
        ("x" * 1000, "'xxx"),
        ([1, "a"], "[1, 'a']"),
    ],
)
def test_values_are_shown_on_one_line_and_not_too_long(value, expected):
    text = brief(value)
    assert text.startswith(expected)
    assert len(text) <= 60
    assert text.isprintable()
    assert text.endswith("…") == (len(repr(value) if value != 10**400 else "x" * 99) > 60)


def test_names_are_cut_and_escaped():
    assert shortened("a\nb") == r"a\nb"
    assert shortened("x" * 60) == "x" * 60
    assert shortened("x" * 61) == "x" * 59 + "…"
    assert len(shortened("\x1b" * 10**6)) == 60


def test_ranges():
    check_range("width", 1, 1, 5)
    check_range("width", 5, 1, 5)
    for value, reason in ((0, "width is 0; it must be 1 or more"),
                          (6, "width is 6; it must be 5 or less"),
                          (float("nan"), "width is nan; it must be 5 or less")):  # fmt: skip
        with pytest.raises(ConfigError, match=reason):
            check_range("width", value, 1, 5)


def test_extras_are_installed_from_a_checkout():
    assert install_advice("plot") == 'pip install -e ".[plot]" in a checkout'
    assert (
        install_advice("a", "b") == 'pip install -e ".[a]" or pip install -e ".[b]" in a checkout'
    )
