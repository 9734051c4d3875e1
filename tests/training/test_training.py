"""The checks of `training_checks` on the package as it is."""

import pytest
from training_checks import CHECKS


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_training(check, tmp_path):
    check(tmp_path)


def test_every_check_is_found():
    assert len(CHECKS) == 16
