"""A copy of a dataset, as links, in which the T1w images are the inpainted ones."""

import json
import logging
import os
import shutil
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from bids_inpaint.bids.dataset import (
    BIDS_VERSION,
    DESCRIPTION,
    check_output_is_ours,
    is_raw,
    read_description,
)
from bids_inpaint.bids.derivatives import Processed, find_processed, read_written
from bids_inpaint.bids.names import IMAGE_EXTENSIONS, derivative_path, sidecar_path
from bids_inpaint.bids.provenance import generated_by
from bids_inpaint.bids.scan import parse_usual
from bids_inpaint.bids.sidecars import SOURCE_LINK, derivative_uri, source_uri
from bids_inpaint.bids.tables import PARTICIPANTS, People, Table, cells, lines_of, read_table
from bids_inpaint.errors import BidsInpaintError, first_of
from bids_inpaint.files import copy_image, read_object, sha256, write_json

LOGGER = logging.getLogger(__name__)

WithProblems = Literal['refuse', 'take', 'leave out']
RESULT_LINK = 'inpainted'  # name of the output in DatasetLinks
_DESCRIPTION = PurePosixPath(DESCRIPTION)
# Folders about the original images.
_LEFT_OUT = frozenset({'derivatives', 'sourcedata'})
_T1W = tuple(f'_T1w{extension}' for extension in IMAGE_EXTENSIONS)


@dataclass(frozen=True)
class DropIn:
    """Result.

    Attributes
    ----------
    replaced : int
        Number of images.
    left_out : tuple of str
        Paths in BIDS of those left out.
    problems : mapping of str to str
        QC problems of those that were replaced or left out in spite of them.
    unread : tuple of str
        Which sidecars and QC files could not be read, and why.

    """

    replaced: int
    left_out: tuple[str, ...]
    problems: Mapping[str, str]
    unread: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """Inpainted images and gaps of a dataset.

    Attributes
    ----------
    results : mapping of PurePosixPath to Processed
        By path of the image in its dataset.
    left_out : frozenset of PurePosixPath
        Images without a result, or with problems.
    problems : mapping of PurePosixPath to str
        QC problems of images.
    subjects : frozenset of str
        Folders of participants in the new dataset: 'sub-01'.
    everybody : frozenset of str
        Folders of participants in the dataset.
    unread : tuple of str
        Which results cannot be read, and why.

    """

    results: Mapping[PurePosixPath, Processed]
    left_out: frozenset[PurePosixPath]
    problems: Mapping[PurePosixPath, str]
    subjects: frozenset[str]
    everybody: frozenset[str]
    unread: tuple[str, ...]

    @cached_property
    def gone(self) -> frozenset[PurePosixPath]:
        """Images that are left out, and their sidecars."""
        return self.left_out.union(map(sidecar_path, self.left_out))

    @cached_property
    def folders_with_gaps(self) -> frozenset[PurePosixPath]:
        """Folders in which, at any depth, something is left out."""
        return frozenset(folder for path in self.gone for folder in path.parents)

    @cached_property
    def written(self) -> frozenset[PurePosixPath]:
        """Files that are made anew."""
        return frozenset({*self.results, *map(sidecar_path, self.results), _DESCRIPTION})

    def lines_of_participants(self, table: Table) -> list[str]:
        """Lines of participants.tsv for the new dataset; all if nobody is left out."""
        if self.subjects == self.everybody:
            return list(table.lines)
        return lines_of(table, self.subjects, People(self.everybody))


def make_drop_in(
    bids_dir: Path,
    output_dir: Path,
    new_dir: Path,
    *,
    participant_label: Sequence[str] = (),
    copy: bool = False,
    allow_missing: bool = False,
    with_problems: WithProblems = 'refuse',
) -> DropIn:
    """Make a dataset with the inpainted T1w images under the names of their sources.

    Everything else is a link to the source dataset, without `derivatives`, `sourcedata` and hidden
    files other than `.bidsignore`. T1w images without a result are left out, with their sidecars
    and lines in tables, so that no image with lesions is in it. The new dataset gets its name when
    it is complete.

    Parameters
    ----------
    bids_dir, output_dir : Path
        The dataset, and its derivatives; absolute.
    new_dir : Path
        Must not exist, or be empty.
    participant_label : sequence of str
        Labels, without 'sub-', to restrict the new dataset to; empty for all.
    copy : bool
        Whether to copy instead of link.
    allow_missing : bool
        Whether images without a result are left out; else they are an error.
    with_problems : {'refuse', 'take', 'leave out'}
        What to do with images with QC problems.

    Raises
    ------
    BidsInpaintError
        If a folder cannot be used, a result is missing, has problems or was made from an older
        image, or a file cannot be copied.

    """
    check_output_is_ours(output_dir)
    _check_new(bids_dir, output_dir, new_dir)
    plan = _plan(
        bids_dir,
        output_dir,
        participant_label,
        allow_missing=allow_missing,
        with_problems=with_problems,
    )
    # In the same parent folder, so that relative links hold after renaming.
    building = new_dir.with_name(f'.{new_dir.name}_{uuid.uuid4().hex[:12]}')
    try:
        building.mkdir(parents=True)
        place = _copy if copy else _link
        for source in _files(bids_dir, plan.subjects):
            relative = PurePosixPath(source.relative_to(bids_dir).as_posix())
            _place_file(source, building / relative, relative, plan, place)
        unread = [
            reason
            for relative, result in plan.results.items()
            for reason in _place_result(building / relative, result, output_dir, place)
        ]
        write_json(building / DESCRIPTION, _description(bids_dir, output_dir))
        building.replace(new_dir)
    except OSError as error:
        msg = f'could not make {new_dir}: {error}'
        raise BidsInpaintError(msg) from error
    finally:
        shutil.rmtree(building, ignore_errors=True)
    problems = {str(path): text for path, text in plan.problems.items()}
    left_out = tuple(sorted(map(str, plan.left_out)))
    return DropIn(len(plan.results), left_out, problems, (*plan.unread, *unread))


def _plan(
    bids_dir: Path,
    output_dir: Path,
    labels: Sequence[str],
    *,
    allow_missing: bool,
    with_problems: WithProblems,
) -> _Plan:
    """Find the result of each T1w image, and the images without one.

    Raises
    ------
    BidsInpaintError
        If there is no result at all, none of an image that a run processes, one with problems, or
        one of an image that was replaced since.

    """
    images = [
        path
        for pattern in ('sub-*/anat/*', 'sub-*/ses-*/anat/*')
        for path in sorted(bids_dir.glob(pattern))
        if path.name.endswith(_T1W) and (not labels or _subject(path, bids_dir)[4:] in labels)
    ]
    found = {PurePosixPath(path.relative_to(bids_dir).as_posix()): path for path in images}
    processed, unread = find_processed(output_dir, bids_dir, participant_label=labels)
    results = {
        PurePosixPath(one.scan.relative_path): one
        for one in processed
        if 'inpainted_native' in one.files()
    }
    results = {path: one for path, one in results.items() if path in found}
    _check_sources(results)
    left_out = frozenset(found.keys() - results.keys())
    raw = is_raw(bids_dir)
    lacking = sorted(str(path) for path in left_out if parse_usual(found[path], raw=raw))
    unknown = [f'sub-{label}' for label in labels if not (bids_dir / f'sub-{label}').is_dir()]
    if unknown or not results or (lacking and not allow_missing):
        msg = (
            f'every T1w image of {bids_dir} must be inpainted in {output_dir}'
            + (f'; no such participant: {", ".join(unknown)}' if unknown else '')
            + f'; without: {first_of(lacking, at_most=10) or "all"}. Process them, or give '
            f'--allow-missing to leave them out of the new dataset'
            + ''.join(f'\n{one.reason}' for one in unread)
        )
        raise BidsInpaintError(msg)
    problems = {path: one.problems for path, one in results.items() if one.problems}
    good = {path: one for path, one in results.items() if path not in problems}
    if problems and (with_problems == 'refuse' or not (good or with_problems == 'take')):
        raise BidsInpaintError(_problems_message(problems))
    if with_problems == 'leave out':
        results, left_out = good, left_out | problems.keys()
    subjects = frozenset(path.parts[0] for path in results)
    everybody = frozenset(path.name for path in bids_dir.glob('sub-*') if path.is_dir())
    reasons = tuple(one.reason for one in unread)
    return _Plan(results, left_out, problems, subjects, everybody, reasons)


def _problems_message(problems: Mapping[PurePosixPath, str]) -> str:
    """Name the results with QC numbers out of limits, and what to do."""
    named = (f'{path} ({text})' for path, text in problems.items())
    return (
        f'images with QC problems ({len(problems)}): {first_of(named)}. Look at their pages; then '
        f'keep them with --allow-problems or, if others remain, leave them out of the new dataset '
        f'with --leave-out-problems'
    )


def _check_sources(results: Mapping[PurePosixPath, Processed]) -> None:
    """Refuse results of images that were replaced since.

    Compares the hash if it is known and the image can be read: the content of a link may not have
    been fetched.
    """
    for path, one in results.items():
        noted = [step['source_sha256'] for step in one.steps if 'source_sha256' in step]
        if noted and one.scan.t1w.is_file() and sha256(one.scan.t1w) != noted[0]:
            msg = f'{path} has changed since it was inpainted: process it again'
            raise BidsInpaintError(msg)


def _subject(path: Path, bids_dir: Path) -> str:
    """Folder of the participant: 'sub-01'."""
    return path.relative_to(bids_dir).parts[0]


def _check_new(bids_dir: Path, output_dir: Path, new_dir: Path) -> None:
    """Refuse a folder that exists, or is inside one of the other datasets."""
    if new_dir.exists() and not (new_dir.is_dir() and not any(new_dir.iterdir())):
        msg = f'the new dataset must be a new or empty folder: {new_dir}'
        raise BidsInpaintError(msg)
    inside = new_dir.is_relative_to(bids_dir)
    allowed = inside and new_dir.relative_to(bids_dir).parts[:1] == ('derivatives',)
    if new_dir.is_relative_to(output_dir) or (inside and not allowed):
        msg = f'the new dataset must be outside of {bids_dir} and {output_dir}: {new_dir}'
        raise BidsInpaintError(msg)


def _files(bids_dir: Path, subjects: Collection[str]) -> Iterator[Path]:
    """All files of a dataset for the new one; links to folders count as files."""
    for path in sorted(bids_dir.iterdir()):
        hidden = path.name.startswith('.') and path.name != '.bidsignore'
        other = path.name.startswith('sub-') and path.is_dir() and path.name not in subjects
        if hidden or other or path.name in _LEFT_OUT:
            continue
        # Links to folders of participants are followed, as nothing may be written through them.
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
    plan: _Plan,
    place: Callable[[Path, Path], None],
) -> None:
    """Place a file of the source in the new dataset, unless it is replaced or left out."""
    if relative in plan.gone or relative in plan.written:
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    choose = None
    if relative == PurePosixPath(PARTICIPANTS):
        choose = plan.lines_of_participants
    elif relative.name.endswith('_scans.tsv') and relative.parent in plan.folders_with_gaps:
        choose = partial(_lines_of_images, folder=relative.parent, gone=plan.gone)
    if choose:
        _place_table(source, target, place, choose)
    else:
        place(source, target)


def _place_table(
    source: Path,
    target: Path,
    place: Callable[[Path, Path], None],
    choose: Callable[[Table], list[str]],
) -> None:
    """Place a table with some of its lines, or whole if they cannot be told from others."""
    try:
        table = read_table(source)
        lines = choose(table)
    except (OSError, ValueError) as error:
        LOGGER.warning(
            '%s is kept whole, including lines of images left out, as %s', source, error
        )
        lines = None
    if lines is None or lines == list(table.lines):
        place(source, target)
    else:
        target.write_bytes(table.with_lines(lines))


def _lines_of_images(
    table: Table, *, folder: PurePosixPath, gone: Collection[PurePosixPath]
) -> list[str]:
    """Lines of a table of scans, without those of images that are left out."""
    column = table.column('filename')

    def is_gone(line: str) -> bool:
        row = cells(line)
        name = row[column].replace('\\', '/') if column < len(row) else ''
        return folder / name in gone or PurePosixPath(name) in gone

    return [line for line in table.lines if not is_gone(line)]


def _place_result(
    target: Path, result: Processed, output_dir: Path, place: Callable[[Path, Path], None]
) -> list[str]:
    """Place an inpainted image under the name of its source, with its sidecar.

    Returns which sidecars cannot be read, and why.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    image = result.files()['inpainted_native']
    same_form = image.name.endswith('.gz') == target.name.endswith('.gz')
    (place if same_form else copy_image)(image, target)
    scan = result.scan
    product = derivative_path(scan, 'inpainted', extension=''.join(image.suffixes))
    own = scan.t1w.parent / sidecar_path(PurePosixPath(scan.t1w.name))
    unread = []
    try:
        made = read_written(output_dir / sidecar_path(product))
    except BidsInpaintError as error:
        unread.append(str(error))
        made = {}
    try:
        fields = read_object(own) if os.path.lexists(own) else {}
    except ValueError as error:
        unread.append(f'{error}. It is kept unchanged, without Sources and GeneratedBy')
        place(own, target.with_name(own.name))
        return unread
    _warn_of_undefined(own, fields)
    uri = derivative_uri(product).replace('bids::', f'bids:{RESULT_LINK}:')
    added: dict[str, Any] = {
        'Description': made.get('Description', ''),
        'Sources': [source_uri(scan), uri],
        'GeneratedBy': made.get('GeneratedBy', [generated_by({})]),
    }
    write_json(target.with_name(own.name), {**fields, **added})
    return unread


def _warn_of_undefined(path: Path, fields: Mapping[str, Any]) -> None:
    """Name the fields with NaN or infinity, for which JSON has null only."""
    undefined = []
    for name, value in fields.items():
        try:
            json.dumps(value, allow_nan=False)
        except ValueError:
            undefined.append(name)
    if undefined:
        LOGGER.warning(
            '%s has values that JSON does not have (NaN, infinity), written as null: %s',
            path,
            first_of(undefined),
        )


def _description(bids_dir: Path, output_dir: Path) -> dict[str, Any]:
    """Extend the description of the source, without its DOI."""
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
    """Link relatively, so that datasets can be moved together."""
    target.symlink_to(os.path.relpath(source, target.parent))


def _copy(source: Path, target: Path) -> None:
    """Copy a file or folder, following links."""
    if source.is_symlink() and not source.exists():
        msg = (
            f'{source} is a link whose content was not fetched: fetch it, or make links instead '
            f'of copies'
        )
        raise FileNotFoundError(msg)
    if source.is_dir():
        shutil.copytree(source, target)
    else:
        shutil.copyfile(source, target)
