import pytest

from bids_inpaint.bids.container import MOUNT_OPTIONS, container_facts, container_type


@pytest.mark.parametrize(
    ('mark', 'kind'),
    [
        ('.dockerenv', 'docker'),
        ('run/.containerenv', 'podman'),
        ('.singularity.d', 'singularity'),
    ],
)
def test_container_is_known_by_its_mark(tmp_path, mark, kind):
    (tmp_path / mark).parent.mkdir(exist_ok=True)
    (tmp_path / mark).touch()
    assert container_type(tmp_path, {}) == kind
    assert kind in MOUNT_OPTIONS


@pytest.mark.parametrize('variable', ['APPTAINER_CONTAINER', 'SINGULARITY_CONTAINER'])
def test_apptainer_is_known_by_its_variable_even_in_an_image_of_docker(tmp_path, variable):
    (tmp_path / '.dockerenv').touch()
    assert container_type(tmp_path, {variable: '/app.sif'}) == 'singularity'


def test_podman_is_known_without_its_mark(tmp_path):
    assert container_type(tmp_path, {'container': 'podman'}) == 'podman'
    assert container_type(tmp_path, {'container': 'lxc'}) is None


def test_no_container(tmp_path):
    assert container_type(tmp_path, {}) is None
    assert container_facts(tmp_path, {}) == {}


def test_tag_is_that_of_the_recipe(tmp_path):
    (tmp_path / '.dockerenv').touch()
    environ = {'BIDS_INPAINT_CONTAINER_TAG': 'bids_inpaint:0.1.0'}
    assert container_facts(tmp_path, environ) == {'Type': 'docker', 'Tag': 'bids_inpaint:0.1.0'}
