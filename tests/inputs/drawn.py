"""NIfTI images drawn at random: what a scanner, converter or program may write, and may not.

Each is the tiny head (`tiny_app.head`), whose lesion is at a known place, on a grid and in a form
of its own. One in three has one fault, and is to be refused for the reason that the fault has.
"""

import gzip
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import nibabel as nb
import numpy as np
import tiny_app
from numpy.typing import NDArray

VALID_SHARE = 0.65
# Of most images: a few have ten times as many.
LARGEST_VOX = (300_000, 1_000_000)
LARGE_ONE_IN = 150
ORIENTATIONS = [
    (axes, signs)
    for axes in itertools.permutations(range(3))
    for signs in itertools.product((1, -1), repeat=3)
]
TYPES = ('i1', 'u1', 'i2', 'u2', 'i4', 'u4', 'i8', 'u8', 'f4', 'f8')
# Codes and deviations of both transforms: which is there, and whether they agree.
FORMS = ('both', 'sform', 'qform', 'disagreeing', 'broken qform')
UNITS = {'unset': 0, 'mm': 2, 'mm, s': 10, 'mm, ms': 18}
EXTENSIONS = ('none', 'comment', 'several', 'long', 'gap')
# Where values begin: air of 0, or another value, as after a shift.
AIR = ('zero', 'negative', 'pedestal')
# Grids are drawn until one has few enough voxels, so fine axes are rare unless asked for.
_GRIDS = ('isotropic', 'anisotropic', 'one fine axis', 'thick', 'coarsest')
VALUES_TOP = 480.0  # of a head with its bias and noise
MIDDLE_MM = nb.affines.apply_affine(np.linalg.inv(tiny_app.anat2std_xfm()), tiny_app.MIDDLE_MM)
# Brightness, up to `VALUES_TOP`, at places of a T1w image, mm; its middle is `MIDDLE_MM`.
Head = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What was drawn of an image; `fault` is a key of `FAULTS`, or empty for a valid image."""

    label: str
    seed: int
    orientation: tuple[tuple[int, ...], tuple[int, ...]]
    angles_deg: tuple[float, ...]
    zooms_mm: tuple[float, ...]
    shape: tuple[int, ...]
    pad: tuple[tuple[int, int], ...]
    bright_planes: bool
    shift_mm: tuple[float, ...]
    dtype: str
    order: str
    version: int
    air: float  # as stored
    gain: float  # from the head to stored values
    slope: float
    inter: float
    forms: str
    codes: tuple[int, int]
    units: str
    trailing: int
    extension: str
    ending: str
    fault: str = ''

    @property
    def whole_shape(self) -> tuple[int, ...]:
        """Shape with the planes that were added around the head."""
        return tuple(n + a + b for n, (a, b) in zip(self.shape, self.pad, strict=True))

    @property
    def affine(self) -> NDArray[np.float64]:
        """From voxels to mm, as the file holds it: in single precision."""
        axes, signs = self.orientation
        rotation = nb.eulerangles.euler2mat(*np.deg2rad(self.angles_deg))
        affine = np.eye(4)
        affine[:3, :3] = rotation[:, axes] * signs * self.zooms_mm
        centre = (np.array(self.shape) - 1) / 2 + [low for low, _ in self.pad]
        affine[:3, 3] = MIDDLE_MM + self.shift_mm - affine[:3, :3] @ centre
        return affine

    @property
    def scaled_gain(self) -> float:
        """From the head to the units of the image."""
        return self.gain * self.slope


class Fault(NamedTuple):
    """What makes an image invalid, and what the refusal must say.

    `drawn` alters what was drawn, `header` the header, `voxels` the stored values, `content` the
    bytes of the file.
    """

    reason: str
    drawn: Callable[[Drawn], Drawn] = lambda drawn: drawn
    header: Callable[[Any], None] = lambda _: None
    voxels: Callable[[NDArray[Any]], None] = lambda _: None
    content: Callable[[bytes], bytes] = lambda content: content


def tiny_head(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Brightness of the head of `tiny_app`."""
    std = nb.affines.apply_affine(tiny_app.anat2std_xfm(), points)
    return np.asarray(tiny_app.GAIN * tiny_app.head(std) * tiny_app.bias_field(std))


def draw(number: int, seed: int, *, real: bool = False) -> Drawn:
    """Draw an image; the same for the same number and seed.

    For `real` steps it is valid, with all of the head.
    """
    rng = np.random.default_rng([seed, number])
    air = str(rng.choice(AIR, p=(0.7, 0.2, 0.1)))
    zooms, shape, pad = _draw_grid(rng, full=air != 'zero' or real, fine=real)
    kind = str(rng.choice(TYPES))
    drawn = Drawn(
        label=f'{number:05}',
        seed=int(rng.integers(2**31)),
        orientation=ORIENTATIONS[rng.integers(len(ORIENTATIONS))],
        angles_deg=tuple(rng.uniform(-40, 40, 3)) if rng.random() < 0.5 else (0.0, 0.0, 0.0),
        zooms_mm=zooms,
        shape=shape,
        pad=pad,
        bright_planes=bool(air == 'zero' and rng.random() < 0.1),
        shift_mm=tuple(rng.uniform(-5, 5, 3)),
        dtype=kind,
        order=str(rng.choice(['<', '>'])),
        version=int(rng.integers(1, 3)),
        **_draw_values(rng, np.dtype(kind), air),
        forms=str(rng.choice(FORMS)),
        codes=(int(rng.integers(1, 6)), int(rng.integers(1, 6))),
        units=str(rng.choice(list(UNITS))),
        trailing=int(rng.choice([0, 1, 2], p=(0.8, 0.1, 0.1))),
        extension=str(rng.choice(EXTENSIONS)),
        ending=str(rng.choice(['.nii', '.nii.gz'])),
    )
    if real or rng.random() < VALID_SHARE:
        return drawn
    fault = str(rng.choice(list(FAULTS)))
    return FAULTS[fault].drawn(replace(drawn, fault=fault))


def _draw_grid(
    rng: np.random.Generator, *, full: bool, fine: bool
) -> tuple[tuple[float, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
    """Voxel sizes, shape and planes added; with air on all sides if `full`."""
    largest = np.exp(rng.uniform(*np.log(LARGEST_VOX)))
    largest *= 10 if rng.random() < 1 / LARGE_ONE_IN else 3 if fine else 1
    full = full or rng.random() < 0.5
    largest = max(largest, 600_000) if full else largest
    kind = rng.choice(_GRIDS, p=(0.3, 0.3, 0.2, 0.12, 0.08))
    largest *= 3 if kind == 'one fine axis' else 1
    longest = rng.random() < 0.2  # 512 voxels
    while True:
        field = rng.uniform(210, 256, 3) if full else rng.uniform(101, 200, 3)
        zooms = (
            np.repeat(rng.uniform(0.5, 3), 3) if kind == 'isotropic' else rng.uniform(0.5, 3, 3)
        )
        axis = rng.integers(3)
        if kind == 'one fine axis':
            zooms = rng.uniform(2, 3, 3)
            zooms[axis] = rng.uniform(0.5, 1)
            if longest and not full:
                zooms[axis], field[axis] = 0.5, 256
        elif kind == 'thick' and not fine:
            zooms[axis] = rng.uniform(3, 5)
        elif kind == 'coarsest' and not fine:  # at least 20 voxels of 5 mm
            zooms = np.array([5.0, 5, 5])
            field = 5 * np.ceil(field / 5 - 1)
        shape = np.ceil(field / zooms).astype(int)
        pad = rng.integers(0, 12, (3, 2)) * (rng.random((3, 2)) < 0.2)
        whole = shape + pad.sum(axis=1)
        if whole.min() >= 20 and whole.max() <= 512 and whole.prod() <= largest:
            break
    pairs = tuple((int(low), int(high)) for low, high in pad)
    return tuple(map(float, zooms)), tuple(map(int, shape)), pairs


def _draw_values(rng: np.random.Generator, dtype: np.dtype[Any], air: str) -> dict[str, float]:
    """Stored values and scaling: of air, per unit of the head, slope and intercept."""
    slope = float(rng.choice([1.0, np.exp(rng.uniform(-9, 9)), -np.exp(rng.uniform(-9, 9))]))
    if dtype.kind == 'f':
        gain = float(10 ** rng.uniform(-6, 6))
        low = float(rng.choice([0.0, gain * VALUES_TOP * rng.uniform(-5, 5)]))
    else:
        info = np.iinfo(dtype)
        top = float(np.exp(rng.uniform(np.log(100), np.log(0.9 * float(info.max)))))
        gain = top / VALUES_TOP
        low = 0.0
    if slope < 0:  # stored values fall where the image is bright
        low, gain = low + gain * VALUES_TOP, -gain
    if slope == 1 and air == 'negative' and dtype.kind != 'u':
        low = -abs(gain) * VALUES_TOP * rng.uniform(0.2, 1)
        return {'air': low, 'gain': gain, 'slope': 1.0, 'inter': 0.0}
    if slope == 1 and rng.random() < 0.7:  # not scaled, so it begins where stored values do
        return {'air': 0.0, 'gain': gain, 'slope': 1.0, 'inter': 0.0}
    begins = {'zero': 0.0, 'negative': -rng.uniform(0.2, 4), 'pedestal': rng.uniform(0.2, 4)}[air]
    inter = begins * abs(slope * gain) * VALUES_TOP - slope * low
    return {'air': low, 'gain': gain, 'slope': slope, 'inter': inter}


def write(drawn: Drawn, folder: Path, head: Head = tiny_head) -> Path:
    """Write an image into a dataset, byte by byte rather than by nibabel; return its path."""
    fault = FAULTS.get(drawn.fault, Fault(''))
    name = f'sub-{drawn.label}'
    path = folder / name / 'anat' / f'{name}_T1w{drawn.ending}'
    path.parent.mkdir(parents=True, exist_ok=True)
    voxels = stored_values(drawn, head)
    fault.voxels(voxels)
    header = make_header(drawn)
    fault.header(header)
    behind = _extension_bytes(drawn)
    content = fault.content(header.binaryblock + behind + voxels.tobytes(order='F'))
    if 'gz' in drawn.ending.lower():
        content = gzip.compress(content, compresslevel=1)
    path.write_bytes(content)
    return path


def data_offset(drawn: Drawn) -> int:
    """Bytes before the voxels."""
    return _header_class(drawn).template_dtype.itemsize + len(_extension_bytes(drawn))


def _header_class(drawn: Drawn) -> Any:
    """NIfTI-1 or NIfTI-2."""
    return nb.Nifti1Header if drawn.version == 1 else nb.Nifti2Header


def stored_values(drawn: Drawn, head: Head = tiny_head) -> NDArray[Any]:
    """Voxels as stored."""
    whole = np.empty(drawn.whole_shape, drawn.order + drawn.dtype)
    rng = np.random.default_rng(drawn.seed)
    plane = np.moveaxis(np.indices(whole.shape[:2]), 0, -1)
    for z in range(whole.shape[2]):
        voxels = np.concatenate([plane, np.full((*plane.shape[:2], 1), z)], axis=-1)
        values = head(nb.affines.apply_affine(drawn.affine, voxels)).astype(np.float64)
        values += rng.normal(0, 4, values.shape) * (values > 0)
        whole[:, :, z] = _as_stored(np.clip(values, 0, VALUES_TOP), drawn)
    _fill_planes(whole, drawn)
    return whole.reshape(*whole.shape, *[1] * drawn.trailing)


def _as_stored(values: NDArray[Any] | float, drawn: Drawn) -> NDArray[Any]:
    """Convert brightness of the head to stored values."""
    stored = drawn.air + drawn.gain * np.asarray(values, np.float64)
    return np.rint(stored) if np.dtype(drawn.dtype).kind in 'iu' else stored


def _fill_planes(whole: NDArray[Any], drawn: Drawn) -> None:
    """Give the planes around the head one value: that of air, or the brightest at one end."""
    for axis, (low, high) in enumerate(drawn.pad):
        planes = np.moveaxis(whole, axis, 0)
        planes[:low] = _as_stored(VALUES_TOP if drawn.bright_planes else 0, drawn)
        planes[len(planes) - high :] = _as_stored(0, drawn)


def make_header(drawn: Drawn) -> Any:
    """Make the header of an image."""
    header = _header_class(drawn)(endianness=drawn.order)
    header.set_data_dtype(np.dtype(drawn.order + drawn.dtype))
    header.set_data_shape((*drawn.whole_shape, *[1] * drawn.trailing))
    _set_forms(header, drawn)
    header['xyzt_units'] = UNITS[drawn.units]
    header['descrip'] = b'drawn at random'
    header['cal_max'] = 900
    header['vox_offset'] = data_offset(drawn)
    if (drawn.slope, drawn.inter) != (1, 0):
        header['scl_slope'], header['scl_inter'] = drawn.slope, drawn.inter
    elif drawn.seed % 3:  # NaN, as nibabel has it, otherwise
        header['scl_slope'], header['scl_inter'] = drawn.seed % 3 - 1, 0
    return header


def _set_forms(header: Any, drawn: Drawn) -> None:
    """Set the transforms; where they disagree, the sform is right."""
    affine, (qform_code, sform_code) = drawn.affine, drawn.codes
    other = affine.copy()
    if drawn.forms == 'disagreeing':
        other[:3] = nb.eulerangles.euler2mat(0.3, -0.2, 0.5) @ affine[:3]
        other[:3, 3] += 40
    header.set_qform(other, qform_code, strip_shears=True)
    if drawn.forms != 'qform':
        header.set_sform(affine, sform_code)
    if drawn.forms == 'sform':
        header['qform_code'] = 0
        header['pixdim'][1:4] = 1
    if drawn.forms == 'broken qform':
        header['quatern_b'] = 2


def _extension_bytes(drawn: Drawn) -> bytes:
    """Bytes between header and voxels."""

    def one(code: int, size: int) -> bytes:
        return struct.pack(f'{drawn.order}2i', size, code) + b'x' * (size - 8)

    behind = {
        'none': b'',
        'comment': one(6, 64),
        'several': one(6, 32) + one(4, 128) + one(0, 16),
        'long': one(44, 40_000),
        'gap': b'',
    }[drawn.extension]
    flag = b'\1\0\0\0' if behind else bytes(4)
    return flag + behind + bytes(256 if drawn.extension == 'gap' else 0)


def _thin(drawn: Drawn) -> Drawn:
    """A field of view that is too small along one axis."""
    axis = drawn.seed % 3
    shape = list(drawn.shape)
    shape[axis] = max(2, int(90 / drawn.zooms_mm[axis]))
    pad = list(drawn.pad)
    pad[axis] = (0, 0)
    return replace(drawn, shape=tuple(shape), pad=tuple(pad))


def _thick(drawn: Drawn) -> Drawn:
    """Voxels of 7 mm along one axis."""
    zooms, shape = list(drawn.zooms_mm), list(drawn.shape)
    axis = drawn.seed % 3
    zooms[axis], shape[axis] = 7.0, 30
    return replace(drawn, zooms_mm=tuple(zooms), shape=tuple(shape))


def _shear(header: Any) -> None:
    """Make an sform with a shear."""
    affine = header.get_best_affine()
    affine[:3, 0] += 0.1 * affine[:3, 1]
    header.set_sform(affine, 1)


def _in_units(factor: float, code: int) -> Callable[[Any], None]:
    """Give the transform in other units than mm."""

    def change(header: Any) -> None:
        affine = header.get_best_affine()
        affine[:3] *= factor
        header.set_sform(affine, 1)
        header['xyzt_units'] = code

    return change


def _fields(**values: Any) -> Callable[[Any], None]:
    """Set fields of the header."""

    def change(header: Any) -> None:
        for name, value in values.items():
            header[name] = value

    return change


def _size(*sizes: int) -> Callable[[Any], None]:
    """Give the header another shape than the voxels."""

    def change(header: Any) -> None:
        header['dim'] = [len(sizes), *sizes, *[1] * (7 - len(sizes))]

    return change


def _spoil(value: float) -> Callable[[NDArray[Any]], None]:
    """Give one voxel a value that is no number."""

    def change(voxels: NDArray[Any]) -> None:
        voxels.flat[voxels.size // 3] = value

    return change


def _floats(drawn: Drawn) -> Drawn:
    """Store values as they are, in a type that has infinity."""
    values = {'air': 0.0, 'gain': 1.0, 'slope': 1.0, 'inter': 0.0}
    return replace(drawn, dtype=('f4', 'f8')[drawn.seed % 2], **values)


def _z_score(voxels: NDArray[Any]) -> None:
    """Score the head over itself, on a background of 0."""
    inside = voxels > 0
    voxels[inside] = (voxels[inside] - voxels[inside].mean()) / voxels[inside].std()


def _with_shape(*sizes: int) -> Callable[[Drawn], Drawn]:
    """Give the image a shape of its own; in a type of one byte, to be small."""

    def change(drawn: Drawn) -> Drawn:
        values = {'air': 0.0, 'gain': 0.2, 'slope': 1.0, 'inter': 0.0}
        pad = ((0, 0),) * 3
        return replace(
            drawn, shape=sizes, pad=pad, zooms_mm=(3.0, 3.0, 3.0), dtype='u1', trailing=0, **values
        )

    return change


def _named(ending: str) -> Callable[[Drawn], Drawn]:
    """Name the file otherwise."""
    return lambda drawn: replace(drawn, ending=ending)


def _padded_with_zero(drawn: Drawn) -> Drawn:
    """Air of -1000 with planes of 0 around it; see `_zero_planes`."""
    values = {'air': -1000.0, 'gain': 1.0, 'slope': 1.0, 'inter': 0.0}
    return replace(drawn, dtype='f4', pad=((2, 2),) * 3, bright_planes=False, **values)


def _zero_planes(voxels: NDArray[Any]) -> None:
    """Set the outermost planes to 0."""
    for axis in range(3):
        np.moveaxis(voxels, axis, 0)[[0, 1, -2, -1]] = 0


_NO_T1W = 'no T1w image to process'
_CLAIMED = 'a header of '
_EARLY = f'ends early|{_CLAIMED}'
FAULTS: dict[str, Fault] = {
    'small field of view': Fault('a field of view of at least 100 mm', _thin),
    'thick voxels': Fault('voxels of at most 5 mm', _thick),
    'one slice': Fault('three dimensions', _with_shape(200, 200, 1)),
    'two dimensions': Fault('three dimensions', _with_shape(64, 64, 4), _size(64, 256)),
    'four dimensions': Fault('three dimensions', _with_shape(64, 64, 64), _size(64, 64, 32, 2)),
    'dimension of 0': Fault('three dimensions|a NIfTI image', header=_size(64, 0, 64)),
    'negative dimension': Fault('three dimensions|a NIfTI image', header=_size(64, -64, 64)),
    'eight dimensions': Fault('NIfTI image', header=lambda h: h['dim'].__setitem__(0, 8)),
    'neither qform nor sform': Fault(
        'code above 0', header=_fields(qform_code=0, sform_code=0)
    ),
    'affine with NaN': Fault(
        'affine that can be inverted', header=_fields(sform_code=1, srow_x=[np.nan, 0, 0, 0])
    ),
    'affine with a row of 0': Fault(
        'affine that can be inverted', header=_fields(sform_code=1, srow_y=[0, 0, 0, 0])
    ),
    'sheared affine': Fault('axes at right angles', header=_shear),
    'quaternion that is no rotation': Fault(
        'quaternion', header=_fields(sform_code=0, qform_code=1, quatern_b=2)
    ),
    'metres': Fault('field of view', header=_in_units(1e-3, 1)),
    'micrometres': Fault('voxels of at most 5 mm', header=_in_units(1e3, 3)),
    'complex': Fault('real numbers', header=_fields(datatype=32, bitpix=64)),
    'complex, double': Fault('real numbers', header=_fields(datatype=1792, bitpix=128)),
    'colours': Fault('real numbers', header=_fields(datatype=128, bitpix=24)),
    'colours and opacity': Fault('real numbers', header=_fields(datatype=2304, bitpix=32)),
    'type of 128 bits': Fault('a NIfTI image', header=_fields(datatype=1536, bitpix=128)),
    'type of one bit': Fault('NIfTI image|real numbers', header=_fields(datatype=1, bitpix=1)),
    'unknown type': Fault('a NIfTI image', header=_fields(datatype=77)),
    'no type': Fault('a NIfTI image|real numbers', header=_fields(datatype=0)),
    'NaN': Fault('finite values', _floats, voxels=_spoil(np.nan)),
    'infinity': Fault('finite values', _floats, voxels=_spoil(-np.inf)),
    'overflow of a double': Fault(
        'finite values', lambda drawn: replace(_floats(drawn), dtype='f8'), voxels=_spoil(1e300)
    ),
    'overflow after scaling': Fault(
        'finite values', lambda drawn: replace(drawn, dtype='i2', air=0.0, gain=50.0, slope=1e37)
    ),
    'intercept of NaN': Fault('NIfTI image', header=_fields(scl_slope=2, scl_inter=np.nan)),
    'constant': Fault('values that differ', voxels=lambda voxels: voxels.fill(7)),
    'empty': Fault('values that differ', voxels=lambda voxels: voxels.fill(0)),
    'z-scored on 0': Fault(
        'background is darker',
        lambda drawn: replace(_floats(drawn), pad=((2, 2),) * 3, bright_planes=False),
        voxels=_z_score,
    ),
    'padded with 0 above air': Fault(
        'background is darker', _padded_with_zero, voxels=_zero_planes
    ),
    'ends early': Fault(_EARLY, content=lambda content: content[: len(content) // 2]),
    'ends by a voxel early': Fault(_EARLY, content=lambda content: content[:-1]),
    'header alone': Fault(_EARLY, content=lambda content: content[:540]),
    'half a header': Fault('NIfTI image', content=lambda content: content[:200]),
    'petabytes': Fault(
        _CLAIMED,
        lambda drawn: replace(drawn, version=2),
        _size(200_000, 200_000, 200_000),
    ),
    'sizes of 32767': Fault(_CLAIMED, header=_size(32_767, 32_767, 32_767)),
    'voxels beyond the end': Fault(f'{_EARLY}|a NIfTI image', header=_fields(vox_offset=2**28)),
    'negative offset': Fault('NIfTI image', header=_fields(vox_offset=-352)),
    'another magic': Fault('NIfTI image', header=_fields(magic=b'nope')),
    'zeros': Fault('only zero bytes', content=lambda content: bytes(len(content))),
    'compressed twice': Fault('compressed (twice )?with gzip', content=gzip.compress),
    'upper-case ending': Fault(_NO_T1W, _named('.NII')),
    'upper-case gzip': Fault(_NO_T1W, _named('.NII.GZ')),
    'half upper case': Fault(_NO_T1W, _named('.nii.GZ')),
    'ending of a backup': Fault(_NO_T1W, _named('.nii.gz.1')),
    'bzip2': Fault(_NO_T1W, _named('.nii.bz2')),
    'Analyze': Fault(_NO_T1W, _named('.img')),
    'FreeSurfer': Fault(_NO_T1W, _named('.mgz')),
}  # fmt: skip
