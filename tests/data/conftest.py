"""Small CSV datasets shared by the tests of a module."""

import pytest

from tests.helpers.face_sets import au_csv, expression_csv


@pytest.fixture(scope="module")
def expressions(tmp_path_factory):
    return expression_csv(tmp_path_factory.mktemp("expressions"))


@pytest.fixture(scope="module")
def units(tmp_path_factory):
    return au_csv(tmp_path_factory.mktemp("units"))
