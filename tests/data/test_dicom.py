import hashlib
import logging

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from profiles import DISPLAY_P3, rgb_profile

from skingpt_r1.data import dicom
from skingpt_r1.data.intake import open_image
from skingpt_r1.errors import ImageError

pydicom = pytest.importorskip("pydicom")

SECRET = "Mustermann^Erika"


def write(path, array, *, photometric="MONOCHROME2", bits=8, **fields):
    """A secondary-capture DICOM file with made-up identity fields."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["test"])
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    file = FileDataset(str(path), {}, file_meta=meta, preamble=b"\0" * 128)
    file.PatientName, file.PatientID, file.PatientBirthDate = SECRET, "4711", "19700101"
    file.SOPClassUID, file.SOPInstanceUID = meta[0x00020002].value, meta[0x00020003].value
    file.Rows, file.Columns = array.shape[:2]
    file.SamplesPerPixel = 1 if array.ndim == 2 else 3
    file.PhotometricInterpretation = photometric
    if array.ndim == 3:
        file.PlanarConfiguration = 0
    file.BitsAllocated = 8 * array.dtype.itemsize
    file.BitsStored, file.HighBit = bits, bits - 1
    file.PixelRepresentation = int(array.dtype.kind == "i")
    file.PixelData = array.tobytes() + b"\0" * (array.nbytes % 2)
    for name, value in fields.items():
        setattr(file, name, value)
    file.save_as(path, enforce_file_format=True)
    return path


def grey(path):
    image = open_image(path)
    assert image.mode == "RGB"
    assert image.info == {}
    array = np.asarray(image)
    assert (array == array[..., :1]).all()
    return array[..., 0].tolist()


ROW = np.array([[0, 64, 128, 255]], np.uint8)


def test_monochrome(tmp_path):
    assert grey(write(tmp_path / "a.dcm", ROW)) == ROW.tolist()
    inverted = write(tmp_path / "b.dcm", ROW, photometric="MONOCHROME1")
    assert grey(inverted) == (255 - ROW).tolist()


def test_stored_bits_set_the_range(tmp_path):
    values = np.array([[0, 2048, 4095, 1]], np.uint16)
    assert grey(write(tmp_path / "a.dcm", values, bits=12)) == [[0, 128, 255, 0]]
    signed = np.array([[-128, 0, 127, -1]], np.int8)
    assert grey(write(tmp_path / "b.dcm", signed)) == [[0, 128, 255, 127]]


def test_the_window_and_the_rescale_are_applied(tmp_path):
    values = np.array([[0, 100, 150, 200]], np.uint8)
    path = write(
        tmp_path / "a.dcm",
        values,
        WindowCenter=200.5,
        WindowWidth=201,
        RescaleSlope=2,
        RescaleIntercept=-100,
    )
    assert grey(path) == [[0, 0, 128, 255]]


def test_colour(tmp_path):
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [10, 20, 30], [255, 255, 255]]], np.uint8)
    image = open_image(write(tmp_path / "a.dcm", rgb, photometric="RGB"))
    assert np.array_equal(np.asarray(image), rgb)


def test_ybr_is_converted(tmp_path):
    ybr = np.array([[[76, 85, 255], [150, 44, 21]]], np.uint8)
    image = open_image(write(tmp_path / "a.dcm", ybr, photometric="YBR_FULL"))
    expected = np.array([[[254, 0, 0], [0, 255, 1]]])
    assert np.abs(np.asarray(image).astype(int) - expected).max() <= 3


def test_palette(tmp_path):
    red = np.array([0, 65535], np.uint16)
    fields = {f"{c}PaletteColorLookupTableDescriptor": [2, 0, 16] for c in ("Red", "Green", "Blue")}
    fields |= {
        "RedPaletteColorLookupTableData": red.tobytes(),
        "GreenPaletteColorLookupTableData": red[::-1].tobytes(),
        "BluePaletteColorLookupTableData": bytes(4),
    }
    path = write(tmp_path / "a.dcm", np.array([[0, 1]], np.uint8),
                 photometric="PALETTE COLOR", **fields)  # fmt: skip
    assert np.asarray(open_image(path)).tolist() == [[[0, 255, 0], [255, 0, 0]]]


def test_the_file_is_recognised_without_its_suffix(tmp_path):
    assert grey(write(tmp_path / "picture.jpg", ROW)) == ROW.tolist()


def test_burned_in_annotation_warns_without_identity(tmp_path, caplog, recwarn):
    path = write(
        tmp_path / "Mustermann_Erika.dcm", ROW, BurnedInAnnotation="YES", StudyDescription=SECRET
    )
    with caplog.at_level(logging.DEBUG):
        open_image(path)
    assert "burned-in annotation" in caplog.text
    assert hashlib.sha256(path.read_bytes()).hexdigest()[:16] in caplog.text
    for word in ("Mustermann", "Erika", "4711", "1970"):
        assert word not in caplog.text
        assert all(word not in str(warning.message) for warning in recwarn)
    caplog.clear()
    open_image(write(tmp_path / "b.dcm", ROW, BurnedInAnnotation="NO"))
    assert caplog.text == ""


def test_too_many_pixels_are_refused_before_decoding(tmp_path):
    path = write(tmp_path / "a.dcm", ROW, Rows=20_000, Columns=20_000)
    with pytest.raises(ImageError, match="20000 x 20000 pixels are too many"):
        open_image(path)


@pytest.mark.parametrize("keep", [0.5, 0.9, 0.99])
def test_truncated_files(tmp_path, keep):
    whole = write(tmp_path / "whole.dcm", np.zeros((64, 64), np.uint8)).read_bytes()
    path = tmp_path / "cut.dcm"
    path.write_bytes(whole[: int(len(whole) * keep)])
    with pytest.raises(ImageError, match="DICOM") as caught:
        open_image(path)
    assert caught.value.__cause__ is None
    assert SECRET not in str(caught.value)


def test_a_file_without_a_picture(tmp_path):
    path = write(tmp_path / "a.dcm", ROW)
    dataset = pydicom.dcmread(path)
    del dataset.PixelData
    dataset.save_as(path)
    with pytest.raises(ImageError, match="pixel data"):
        open_image(path)
    del dataset.Rows
    dataset.save_as(path)
    with pytest.raises(ImageError, match="Rows, Columns"):
        open_image(path)


def test_is_dicom():
    assert dicom.is_dicom(b"\0" * 128 + b"DICM", ".jpg")
    assert dicom.is_dicom(b"", ".DCM")
    assert not dicom.is_dicom(b"\xff\xd8" + b"\0" * 200, ".jpg")


def with_text(path, **elements):
    """The file `a.dcm` of `ROW` with the texts of some elements, whether they make sense or not."""
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import RawDataElement
    from pydicom.tag import Tag

    dataset = pydicom.dcmread(write(path, ROW))
    for name, text in elements.items():
        tag, content = Tag(tag_for_keyword(name)), text.encode() + b" " * (len(text) % 2)
        dataset._dict[tag] = RawDataElement(
            tag, dictionary_VR(tag), len(content), content, 0, False, True
        )
    dataset.save_as(path)
    return path


@pytest.mark.parametrize(
    "elements",
    [
        {"WindowCenter": "", "WindowWidth": ""},
        {"WindowCenter": "128", "WindowWidth": ""},
        {"WindowCenter": "", "WindowWidth": "10"},
        {"WindowCenter": "128"},
        {"WindowWidth": "10"},
        {"WindowCenter": "128", "WindowWidth": "0"},
        {"WindowCenter": "128", "WindowWidth": "-20"},
        {"WindowCenter": "nan", "WindowWidth": "10"},
        {"WindowCenter": "128", "WindowWidth": "nan"},
        {"WindowCenter": "inf", "WindowWidth": "10"},
        {"WindowCenter": "128", "WindowWidth": "inf"},
        {"WindowCenter": "middle", "WindowWidth": "10"},
        {"WindowCenter": "0\\0", "WindowWidth": "0\\0"},
        {"RescaleSlope": ""},
        {"RescaleSlope": "", "RescaleIntercept": ""},
        {"RescaleSlope": "0", "RescaleIntercept": "0"},
        {"RescaleSlope": "0", "RescaleIntercept": "-1024"},
        {"RescaleSlope": "nan"},
        {"RescaleSlope": "inf", "RescaleIntercept": "inf"},
        {"RescaleSlope": "steep", "RescaleIntercept": "low"},
        {"RescaleSlope": "1e-30"},
        {"VOILUTSequence": ""},
        {"ModalityLUTSequence": ""},
        {"NumberOfFrames": ""},
        {"BurnedInAnnotation": ""},
        {"ICCProfile": ""},
        {"OpticalPathSequence": ""},
        {"PixelAspectRatio": ""},
    ],
)
def test_optional_values_that_mean_nothing_count_as_absent(tmp_path, elements):
    assert grey(with_text(tmp_path / "a.dcm", **elements)) == ROW.tolist()


def test_the_first_window_that_means_something_counts(tmp_path):
    wanted = [[0, 82, 163, 255]]
    for centres, widths in (
        ("100.5", "201"),
        ("100.5\\3", "201\\4"),
        ("0\\100.5", "0\\201"),
        ("\\100.5", "\\201"),
        ("nan\\100.5", "10\\201"),
        ("5\\100.5", "-1\\201"),
    ):
        path = with_text(tmp_path / "a.dcm", WindowCenter=centres, WindowWidth=widths)
        assert grey(path) == wanted
    # A window narrower than one value is a threshold.
    path = with_text(tmp_path / "a.dcm", WindowCenter="100", WindowWidth="0.5")
    assert grey(path) == [[0, 0, 255, 255]]


def test_a_falling_slope_turns_the_picture(tmp_path):
    path = with_text(tmp_path / "a.dcm", RescaleSlope="-1", RescaleIntercept="")
    assert grey(path) == [[255, 191, 127, 0]]


def test_colours_by_the_profile(tmp_path):
    from pydicom.dataset import Dataset

    skin = np.full((2, 2, 3), (220, 120, 90), np.uint8)
    wanted = (235, 113, 82)
    profile = rgb_profile(DISPLAY_P3)
    optical = Dataset()
    optical.ICCProfile = profile
    for fields in ({"ICCProfile": profile}, {"OpticalPathSequence": [optical]}):
        image = open_image(write(tmp_path / "a.dcm", skin, photometric="RGB", **fields))
        assert image.getpixel((0, 0)) == wanted
        assert image.info == {}
        assert grey(write(tmp_path / "b.dcm", ROW, **fields)) == ROW.tolist()
    damaged = write(tmp_path / "c.dcm", skin, photometric="RGB", ICCProfile=profile[:300])
    assert open_image(damaged).getpixel((0, 0)) == (220, 120, 90)


def deflated(path, size):
    """A deflated file whose pixel data have so many bytes."""
    from pydicom.uid import DeflatedExplicitVRLittleEndian

    dataset = pydicom.dcmread(write(path, ROW))
    dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    dataset.PixelData = ROW.tobytes() + bytes(size - ROW.size)
    dataset.save_as(path)
    return path


def test_a_deflated_file_is_measured_before_it_is_unpacked(tmp_path):
    assert grey(deflated(tmp_path / "a.dcm", 4)) == ROW.tolist()
    bomb = deflated(tmp_path / "b.dcm", 2_000_000)
    assert bomb.stat().st_size < 10_000
    with pytest.raises(ImageError, match="1,200,000 bytes when unpacked are too many"):
        dicom.read_dicom(bomb, 200_000)
    cut = tmp_path / "c.dcm"
    cut.write_bytes(bomb.read_bytes()[:-200])
    with pytest.raises(ImageError, match="DICOM"):
        open_image(cut)


def test_a_strip_is_refused(tmp_path):
    with pytest.raises(ImageError, match="too long and narrow"):
        open_image(write(tmp_path / "a.dcm", np.zeros((2, 402), np.uint8)))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(132, 10**4), st.integers(0, 255)), max_size=8),
    keep=st.integers(30, 100),
)
def test_mutated_files_open_or_raise_image_error(tmp_path, edits, keep):
    source = tmp_path / "source.dcm"
    if not source.exists():
        write(source, ROW, WindowCenter=30, WindowWidth=40, RescaleSlope=2, RescaleIntercept=-3)
    content = bytearray(source.read_bytes())
    for place, value in edits:
        content[place % len(content)] = value
    path = tmp_path / "mutated.dcm"
    path.write_bytes(content[: len(content) * keep // 100])
    try:
        assert open_image(path).mode == "RGB"
    except ImageError as error:
        assert SECRET not in str(error)  # noqa: PT017
