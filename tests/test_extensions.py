"""``[[extensions]]`` in a config: what is read, and what is refused."""

import pytest

from gpucnn.config import Config
from gpucnn.errors import ConfigError

TABLES = {
    "data": {"name": "digits"},
    "model": {"name": "lenet"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
    "schedule": {"name": "one_cycle", "peak": 0.2},
    "training": {"epochs": 2},
}


def test_a_config_without_any_has_no_such_table():
    assert "extensions" not in Config(TABLES).tables
    assert "extensions" not in Config({**TABLES, "extensions": []}).tables


def test_they_are_resolved_and_read_again():
    config = Config(TABLES).extended(3).extended(4, {"name": "step", "every_epochs": 1})
    assert config.tables["extensions"] == [
        {"epochs": 3},
        {
            "epochs": 4,
            "schedule": {"name": "step", "every_epochs": 1, "decay": 0.1, "warmup_epochs": 0.0},
        },
    ]
    assert config.epochs == 9
    assert Config(config.tables).tables == config.tables


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (3, "^extensions = 3: Expected `array`"),
        ([3], r"^extensions\[0\]: Expected `object`"),
        ([{}], r"^extensions\[0\]\.epochs: say how many"),
        ([{"epochs": 1}, {"epochs": 0}], r"^extensions\[1\]\.epochs = 0: it must be 1 or more"),
        ([{"epochs": 10**6}], r"1,000,002 epochs; a run can have 1,000,000 or fewer"),
        ([{"epochs": 2**63}], r"a run can have 1,000,000 or fewer"),
        ([{"epochs": 1.5}], r"^extensions\[0\]\.epochs = 1\.5: Expected `int`"),
        ([{"epochs": True}], r"^extensions\[0\]\.epochs = True: Expected `int`"),
        ([{"epoch": 1}], r'^extensions\[0\]\.epoch: .* did you mean "epochs"'),
        ([{"epochs": 1, "schedule": {"name": "stp"}}], r'schedule\.name: .* did you mean "step"'),
        ([{"epochs": 1, "schedule": {"name": "step"}}], r"^extensions\[0\]\.schedule\.every_epoch"),
        ([{"epochs": 1, "schedule": {"name": "cosine", "final": 2.0}}],
         r"^extensions\[0\]\.schedule: final is 2"),
        ([{"epochs": 1, "schedule": "cosine"}], "a schedule is a table"),
    ],
)  # fmt: skip
def test_what_cannot_be(value, said):
    with pytest.raises(ConfigError, match=said):
        Config({**TABLES, "extensions": value})


def test_the_next_schedule_is_the_last_one_with_changes():
    config = Config(TABLES)
    assert config.next_schedule(["schedule.peak=0.5"])["name"] == "one_cycle"
    assert config.next_schedule(["schedule.peak=0.5"])["peak"] == 0.5
    assert config.next_schedule(["schedule.name=cosine"]) == {"name": "cosine"}
    assert config.next_schedule(["schedule.final=0.5", "schedule.name=cosine"]) == {
        "name": "cosine",
        "final": 0.5,
    }
    extended = config.extended(1, {"name": "cosine"}).extended(1)
    assert extended.next_schedule(["schedule.final=0.5"]) == {
        "name": "cosine",
        "final": 0.5,
        "warmup_epochs": 0.0,
    }


def test_extensions_of_a_run_complete_the_config_that_it_began_with():
    began, run = Config(TABLES), Config(TABLES).extended(3)
    assert began.with_extensions_of(run).tables == run.tables
    assert began.with_extensions_of(began) is began
    other = began.extended(5)
    assert other.with_extensions_of(run) is other
