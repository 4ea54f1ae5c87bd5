"""Images in folders: a folder for each class, in a folder for each split or not."""

from __future__ import annotations

from typing import Any, Literal

from gpucnn.data.dataset import Dataset, DatasetPair, DataShape, datasets
from gpucnn.data.decoding import MAX_PIXELS
from gpucnn.data.folder_scan import scan, scan_test
from gpucnn.data.image_files import ImageOptions, first_image_shape, read_listings


@datasets.register("image_folder")
def image_folder(
    root: str,
    size: int | tuple[int, int] | None = None,
    colour: Literal["rgb", "grey"] = "rgb",
    fit: Literal["crop", "stretch"] = "crop",
    workers: int | None = None,
    memory_limit_mb: int = 2048,
    on_damaged: Literal["error", "skip"] = "error",
    max_pixels: int = MAX_PIXELS,
    range: tuple[float, float] | None = None,  # noqa: A002  # the key in configs
    test_share: float = 0.2,
    split_seed: int = 0,
) -> DatasetPair:
    """Image files in root/train/CLASS/ and root/test/CLASS/ (or root/val/CLASS/), or root/CLASS/.

    If there is no split to test on, but root/train/CLASS/ or root/CLASS/ alone, images are split
    off for that at random.

    JPEG, PNG, WebP, GIF, BMP, TIFF, PNM, JPEG 2000, AVIF and TGA files are read, of several frames
    the first. If all images fit in memory, they are decoded once, else batch by batch.

    Args:
        root: the folder of the splits or of the classes. Classes and files are taken in the order
            of their names; hidden files and those without an image's extension are left out.
        size: the side, or (height, width), to which all images are resized; None if they have
            one size already.
        colour: what the images are converted to: 3 channels or 1.
        fit: "crop" scales an image to cover the size and cuts off what is left over, equally
            at both ends; "stretch" changes its proportions.
        workers: processes that decode; 0 to decode in this one; None for one per core, or 0 if
            there are few images.
        memory_limit_mb: how much memory all decoded images may take, in 10⁶ bytes.
        on_damaged: whether a damaged file is an error, or skipped and counted on stderr. To skip
            files of a set that does not fit in memory, all are decoded once to find them.
        max_pixels: a file with more pixels counts as damaged.
        range: the lowest and highest value, which become 0 and 255, of images that have more than
            8 bits or floating-point values. If None, 16-bit images keep their upper 8 bits and
            floating-point values are taken to be from 0 to 1; images that do not fit are refused.
        test_share: the share of the images that is split off to test on, of each class, if there is
            no split for that.
        split_seed: which images these are. It is not the run's seed, so runs with different seeds
            are tested on the same images.

    Raises:
        ConfigError: a value that is out of range.
        DataError: a folder or file is missing, unreadable or damaged; a class has no images, or
            is in one split only; the images differ in size and ``size`` is None.
    """
    options = ImageOptions(
        size, colour, fit, workers, memory_limit_mb, on_damaged, max_pixels, range
    )
    train, test = read_listings(lambda: scan(root, test_share, split_seed), options)
    return DatasetPair(train, test)


def image_folder_test(
    root: str, test_share: float, split_seed: int, **image_options: Any
) -> Dataset:
    """The test split of ``image_folder`` alone; if it has a folder, it needs no other.

    Raises:
        ConfigError, DataError: as ``image_folder``, of this split.
    """
    options = ImageOptions(**image_options)
    (test,) = read_listings(lambda: (scan_test(root, test_share, split_seed),), options)
    return test


def image_folder_shape(
    root: str, test_share: float, split_seed: int, **image_options: Any
) -> DataShape:
    """What a model for the data set depends on, with one image decoded at most.

    Raises:
        ConfigError, DataError: as ``image_folder``.
    """
    options = ImageOptions(**image_options)
    return first_image_shape(lambda: scan(root, test_share, split_seed)[0], options)
