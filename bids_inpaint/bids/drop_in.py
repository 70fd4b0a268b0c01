"""A dataset that is another one, but for its T1w images: those are the inpainted ones."""

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bids_inpaint.bids.compression import copy_bytes
from bids_inpaint.bids.dataset import (
    BIDS_VERSION,
    DESCRIPTION,
    check_output_is_ours,
    read_description,
)
from bids_inpaint.bids.derivatives import Processed, read_object
from bids_inpaint.bids.drop_in_plan import Plan, plan_drop_in
from bids_inpaint.bids.names import derivative_path, sidecar_path
from bids_inpaint.bids.sidecars import (
    SOURCE_LINK,
    derivative_uri,
    generated_by,
    source_uri,
    write_json,
)
from bids_inpaint.errors import BidsInpaintError

RESULT_LINK = 'inpainted'  # name of the app's output in DatasetLinks
# What was made from the images as they were, and how they were before they were BIDS.
_LEFT_OUT = frozenset({'derivatives', 'sourcedata'})


@dataclass(frozen=True)
class DropIn:
    """What was made: how many images were replaced, and which were left out (paths in BIDS)."""

    replaced: int
    left_out: tuple[str, ...]


def make_drop_in(
    bids_dir: Path,
    output_dir: Path,
    new_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    copy: bool = False,
    allow_missing: bool = False,
) -> DropIn:
    """Make a dataset with the inpainted T1w images under the names of their sources.

    Everything else is a link to the source dataset; `derivatives` and `sourcedata` and what is
    hidden, but `.bidsignore`, are not in it. No T1w image with its lesions is: those without
    result are left out, with their sidecars and their lines in tables. The new dataset is seen
    under its name when it is complete, and not before.

    Parameters
    ----------
    bids_dir, output_dir : Path
        The dataset, and what the app wrote of it; absolute.
    new_dir : Path
        Where; must not be there, or be empty.
    participant_label : sequence of str
        Labels, without 'sub-', to restrict the new dataset to; empty for all.
    copy : bool
        Whether files are copied and not linked.
    allow_missing : bool
        Whether participants without result are left out; else they are an error.

    Raises
    ------
    BidsInpaintError
        If a folder is not what it must be, a result is missing or was made from another image
        than that which is there now, or a file cannot be copied.

    """
    check_output_is_ours(output_dir)
    _check_new(bids_dir, output_dir, new_dir)
    plan = plan_drop_in(bids_dir, output_dir, participant_label, allow_missing=allow_missing)
    new_dir.parent.mkdir(parents=True, exist_ok=True)
    # Beside its place, and as deep: relative links hold after it was renamed.
    building = Path(tempfile.mkdtemp(dir=new_dir.parent, prefix=f'.{new_dir.name}_'))
    try:
        building.chmod(0o777 & ~_umask())
        place = _copy if copy else _link
        for source in _files(bids_dir, plan.subjects):
            relative = PurePosixPath(source.relative_to(bids_dir).as_posix())
            _place_file(source, building / relative, relative, plan, place)
        for relative, result in plan.results.items():
            _place_result(building / relative, result, output_dir, place)
        write_json(building / DESCRIPTION, _description(bids_dir, output_dir))
        building.replace(new_dir)
    except OSError as error:
        msg = f'could not make {new_dir}: {error}'
        raise BidsInpaintError(msg) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return DropIn(len(plan.results), tuple(sorted(map(str, plan.left_out))))


def _check_new(bids_dir: Path, output_dir: Path, new_dir: Path) -> None:
    """Refuse a place that is taken, or where the new dataset would be a part of another."""
    if new_dir.exists() and not (new_dir.is_dir() and not any(new_dir.iterdir())):
        msg = f'the new dataset must be a folder that is not there yet, or empty: {new_dir}'
        raise BidsInpaintError(msg)
    inside = new_dir.is_relative_to(bids_dir)
    allowed = inside and new_dir.relative_to(bids_dir).parts[:1] == ('derivatives',)
    if new_dir.is_relative_to(output_dir) or (inside and not allowed):
        msg = f'the new dataset must lie outside of {bids_dir} and {output_dir}: {new_dir}'
        raise BidsInpaintError(msg)


def _files(bids_dir: Path, subjects: Collection[str]) -> Iterator[Path]:
    """All files of a dataset that belong into the new one; links to folders count as files."""
    for path in sorted(bids_dir.iterdir()):
        hidden = path.name.startswith('.') and path.name != '.bidsignore'
        other = path.name.startswith('sub-') and path.is_dir() and path.name not in subjects
        if hidden or other or path.name in _LEFT_OUT:
            continue
        # Links to folders of participants are followed: nothing may be written through them.
        person = path.name.startswith('sub-')
        if not path.is_dir() or (path.is_symlink() and not person):
            yield path
            continue
        for folder, names, files in os.walk(path, followlinks=person):
            linked = [] if person else [n for n in names if (Path(folder) / n).is_symlink()]
            yield from (Path(folder) / name for name in sorted([*linked, *files]))


def _place_file(
    source: Path,
    target: Path,
    relative: PurePosixPath,
    plan: Plan,
    place: Callable[[Path, Path], None],
) -> None:
    """Put a file of the source into the new dataset, if it belongs there as it is."""
    gone = {*plan.left_out, *map(sidecar_path, plan.left_out)}
    written = {*plan.results, *map(sidecar_path, plan.results), PurePosixPath(DESCRIPTION)}
    if relative in gone or relative in written:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    if relative == PurePosixPath('participants.tsv'):
        _filter_table(source, target, place, lambda value: value in plan.subjects)
    elif relative.name.endswith('_scans.tsv'):
        _filter_table(source, target, place, lambda value: relative.parent / value not in gone)
    else:
        place(source, target)


def _filter_table(
    source: Path, target: Path, place: Callable[[Path, Path], None], keep: Callable[[str], bool]
) -> None:
    """Leave out the lines of a table by their first column; one that loses none is placed."""
    try:
        header, *lines = source.read_text(encoding='utf-8-sig').splitlines()
    except (OSError, ValueError):  # empty, not fetched, or no text
        place(source, target)
        return
    kept = [line for line in lines if keep(line.split('\t')[0])]
    if kept == lines:
        place(source, target)
    else:
        target.write_text('\n'.join([header, *kept]) + '\n', encoding='utf-8')


def _place_result(
    target: Path, result: Processed, output_dir: Path, place: Callable[[Path, Path], None]
) -> None:
    """Put an inpainted image under the name of its source, with its sidecar."""
    target.parent.mkdir(parents=True, exist_ok=True)
    image = result.files()['inpainted_native']
    same_form = image.name.endswith('.gz') == target.name.endswith('.gz')
    (place if same_form else copy_bytes)(image, target)
    scan = result.scan
    product = derivative_path(scan, 'inpainted', extension=''.join(image.suffixes))
    own = scan.t1w.parent / sidecar_path(PurePosixPath(scan.t1w.name))
    fields = read_object(own) if own.is_file() else {}
    made = read_object(output_dir / sidecar_path(product))
    uri = derivative_uri(product).replace('bids::', f'bids:{RESULT_LINK}:')
    added: dict[str, Any] = {
        'Description': made.get('Description', ''),
        'Sources': [source_uri(scan), uri],
        'GeneratedBy': made.get('GeneratedBy', [generated_by({})]),
    }
    write_json(target.with_name(own.name), {**fields, **added})


def _description(bids_dir: Path, output_dir: Path) -> dict[str, Any]:
    """Extend the description of the source; its DOI names the source, and not this."""
    fields = read_description(bids_dir)
    doi = fields.pop('DatasetDOI', None)
    earlier = fields.get('GeneratedBy')
    links = fields.get('DatasetLinks')
    sources = fields.get('SourceDatasets')
    made = read_description(output_dir).get('GeneratedBy') or [generated_by({})]
    added = {
        'Name': f'{fields.get("Name") or bids_dir.name}, white-matter lesions inpainted',
        'BIDSVersion': fields.get('BIDSVersion') or BIDS_VERSION,
        'GeneratedBy': [*(earlier if isinstance(earlier, list) else []), *made],
        'SourceDatasets': [
            *(sources if isinstance(sources, list) else []),
            {'URL': bids_dir.as_uri(), **({'DOI': doi} if isinstance(doi, str) else {})},
            {'URL': output_dir.as_uri()},
        ],
        'DatasetLinks': {
            **(links if isinstance(links, dict) else {}),
            SOURCE_LINK: bids_dir.as_uri(),
            RESULT_LINK: output_dir.as_uri(),
        },
    }
    return {**fields, **added}


def _link(source: Path, target: Path) -> None:
    """Link relatively, so that all may be moved together."""
    target.symlink_to(os.path.relpath(source, target.parent))


def _copy(source: Path, target: Path) -> None:
    """Copy a file or a folder, and what links lead to."""
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)


def _umask() -> int:
    """Umask of this process, which can be read only by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
