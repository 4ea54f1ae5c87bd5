"""CIFAR's files in both versions, small, with pickles as Python 2 and numpy wrote them."""

import pickle
import struct

import numpy as np

CIFAR_10 = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship",
            "truck")  # fmt: skip
CIFAR_100 = tuple(f"class_{number}" for number in range(100))


class Python2:
    """Writes protocol 2 as cPickle did: every container and string is memoised."""

    def __init__(self):
        self._memo = 0

    def __call__(self, value):
        return b"\x80\x02" + self._value(value) + b"."

    def _put(self):
        self._memo += 1
        short = self._memo < 256
        return b"q" + bytes([self._memo]) if short else b"r" + struct.pack("<I", self._memo)

    def _value(self, value):
        if isinstance(value, dict):
            items = b"".join(self._value(k) + self._value(v) for k, v in value.items())
            return b"}" + self._put() + b"(" + items + b"u"
        if isinstance(value, list):
            parts = [value[first : first + 1000] for first in range(0, len(value), 1000)]
            filled = [b"(" + b"".join(map(self._value, part)) + b"e" for part in parts]
            return b"]" + self._put() + b"".join(filled)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, int):
            return self._integer(value)
        text = value.encode()
        head = b"U" + bytes([len(text)]) if len(text) < 256 else b"T" + struct.pack("<i", len(text))
        return head + text + self._put()

    @staticmethod
    def _integer(value):
        if 0 <= value < 256:
            return b"K" + bytes([value])
        return (
            b"M" + struct.pack("<H", value)
            if 0 < value < 1 << 16
            else b"J" + struct.pack("<i", value)
        )

    def _array(self, value):
        """The state is (1, shape, dtype, is Fortran's order, content)."""
        dtype = (
            b"cnumpy\ndtype\n" + self._put() + b"U\x02u1" + self._put() + b"K\0K\1\x87"
            + self._put() + b"R" + self._put()
            + b"(K\3U\1|" + self._put() + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0t" + self._put()
            + b"b"
        )  # fmt: skip
        head = b"cnumpy.core.multiarray\n_reconstruct\n" + self._put()
        empty = (
            b"cnumpy\nndarray\n" + self._put() + b"K\0\x85" + self._put() + b"U\1b" + self._put()
        )
        shape = b"".join(map(self._integer, value.shape)) + b"\x86" + self._put()
        order = b"\x88" if value.flags.fnc else b"\x89"
        content = value.tobytes("A")
        text = b"T" + struct.pack("<i", len(content)) + content + self._put()
        return (
            head + empty + b"\x87" + self._put() + b"R" + self._put()
            + b"(K\1" + shape + dtype + order + text + b"t" + self._put() + b"b"
        )  # fmt: skip


def python2_pickle(value):
    """The value in protocol 2."""
    return Python2()(value)


def meta(key, names):
    """A file of class names in protocol 0, as batches.meta is."""
    listed = "".join(f"S'{name}'\np{number}\na" for number, name in enumerate(names, 5))
    head = f"(dp1\nS'num_cases_per_batch'\np2\nI10000\nsS'{key}'\np3\n(lp4\n"
    return f"{head}{listed}sS'num_vis'\np2000\nI3072\ns.".encode()


def rows(images):
    """Images (n, 32, 32, 3) as rows of red, green and blue values, (n, 3072)."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2).reshape(len(images), -1))


def binary_file(images, *labels):
    """Each row: its labels, then its values."""
    return np.column_stack([*labels, rows(images)]).astype(np.uint8).tobytes()


def python_file(images, key, labels):
    """One batch in a pickle; other keys are as in CIFAR's own."""
    names = [f"picture_s_{number:06}.png" for number in range(len(labels))]
    return python2_pickle(
        {"batch_label": "a batch", key: [int(label) for label in labels], "data": rows(images),
         "filenames": names}
    )  # fmt: skip


def write_cifar10(folder, images, labels, is_python=False):
    """Writes six files, with a sixth of the images each; the last are for testing."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
    for name, part in zip(names, np.array_split(np.arange(len(images)), 6), strict=True):
        if is_python:
            content = python_file(images[part], "labels", labels[part])
        else:
            content = binary_file(images[part], labels[part])
        (folder / (name if is_python else f"{name}.bin")).write_bytes(content)
    if is_python:
        (folder / "batches.meta").write_bytes(meta("label_names", CIFAR_10))
    else:
        (folder / "batches.meta.txt").write_text("\n".join(CIFAR_10) + "\n\n")


def write_cifar100(folder, images, labels, is_python=False):
    """Writes two files, with half of the images each; coarse labels are all 3."""
    folder.mkdir(parents=True, exist_ok=True)
    coarse = np.full(len(labels), 3)
    for name, part in zip(("train", "test"), np.array_split(np.arange(len(images)), 2),
                          strict=True):  # fmt: skip
        if is_python:
            content = python_file(images[part], "fine_labels", labels[part])
        else:
            content = binary_file(images[part], coarse[part], labels[part])
        (folder / (name if is_python else f"{name}.bin")).write_bytes(content)
    if is_python:
        names = {"fine_label_names": list(CIFAR_100), "coarse_label_names": ["one"] * 20}
        (folder / "meta").write_bytes(python2_pickle(names))
    else:
        (folder / "fine_label_names.txt").write_text("\n".join(CIFAR_100) + "\n")


def by_python(content):
    """What Python's own reader makes of a pickle that was written here."""
    return pickle.loads(content, encoding="bytes")
