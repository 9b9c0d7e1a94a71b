import gzip
import struct
import wave

import numpy as np
import pytest

from rnncourse.data.files import (
    mnist_rows,
    read_idx,
    read_recordings,
    read_reviews,
    read_spoken_words,
    read_text_pairs,
    read_wav,
    resample,
)


def write_idx(path, array, code=8):
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    data = head + array.tobytes()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)


def write_wav(path, frames, width=2, channels=1, rate=8000):
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(channels)
        sound.setsampwidth(width)
        sound.setframerate(rate)
        sound.writeframes(frames)


@pytest.mark.parametrize(
    ("code", "dtype"), [(8, "u1"), (9, "i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")]
)
def test_idx_files(tmp_path, code, dtype):
    array = np.arange(24, dtype=dtype).reshape(2, 3, 4)
    for name in ("array", "array.gz"):
        write_idx(tmp_path / name, array, code)
        read = read_idx(tmp_path / name)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == array.dtype.newbyteorder("=")


def test_files_that_are_not_idx_are_refused(tmp_path):
    path = tmp_path / "array"
    for data in (b"", b"\0\0", b"RIFF....", b"\0\0\7\1\0\0\0\0"):
        path.write_bytes(data)
        with pytest.raises(ValueError, match="array: expected a file in the IDX format"):
            read_idx(path)
    write_idx(path, np.zeros(9, "u1"))
    whole = path.read_bytes()
    for data in (whole[:-1], whole + b"\0", whole[:6]):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"array: expected \d+ bytes"):
            read_idx(path)


def test_gzip_files_that_are_damaged_or_cut_short_are_refused(tmp_path):
    path = tmp_path / "array.gz"
    write_idx(path, np.arange(9, dtype="u1"))
    whole = path.read_bytes()
    damaged = [whole[:i] + bytes([whole[i] ^ 255]) + whole[i + 1 :] for i in (0, 12, -8)]
    for data in (*damaged, *(whole[:n] for n in range(1, len(whole)))):
        path.write_bytes(data)
        with pytest.raises(ValueError, match=r"array\.gz: expected a whole gzip file"):
            read_idx(path)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "nowhere.gz")


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_mnist(tmp_path, rng, suffix):
    images = {"train": rng.integers(0, 256, (5, 28, 28), np.uint8)}
    images["t10k"] = rng.integers(0, 256, (3, 28, 28), np.uint8)
    for part, array in images.items():
        write_idx(tmp_path / f"{part}-images-idx3-ubyte{suffix}", array)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte{suffix}", np.arange(len(array), dtype="u1"))
    for (x, y), array in zip(mnist_rows(tmp_path), images.values(), strict=True):
        assert x.dtype == np.float32
        assert y.dtype == np.int64
        np.testing.assert_allclose(x.transpose(1, 0, 2) * 255, array, rtol=1e-6)
        np.testing.assert_array_equal(y, np.arange(len(array)))
    write_idx(tmp_path / f"t10k-labels-idx1-ubyte{suffix}", np.zeros(4, "u1"))
    with pytest.raises(ValueError, match=r"'t10k', got shapes \(3, 28, 28\) and \(4,\)"):
        mnist_rows(tmp_path)


def test_mnist_without_files_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="train-images-idx3-ubyte"):
        mnist_rows(tmp_path)


def test_reviews(tmp_path):
    for name, text in (("pos/1.txt", "Grand, wie schön"), ("neg/0.txt", "dull"), ("neg/2.txt", "")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "neg" / "notes.md").write_text("no review")
    texts, labels = read_reviews(tmp_path)
    assert texts == ["dull", "", "Grand, wie schön"]
    assert labels.tolist() == [0, 0, 1]
    assert labels.dtype == np.int64
    with pytest.raises(FileNotFoundError, match=r"unsup: expected \.txt files, got none"):
        read_reviews(tmp_path, classes=("pos", "unsup"))


def test_text_pairs(tmp_path):
    en, de = tmp_path / "train.en", tmp_path / "train.de"
    en.write_text("a dog\na\u2028cat\n", encoding="utf-8")
    de.write_text("ein Hund\neine Kätzin", encoding="utf-8")
    assert read_text_pairs(en, de) == [("a dog", "ein Hund"), ("a\u2028cat", "eine Kätzin")]
    de.write_bytes(b"ein Hund\r\neine\rKatze\r\n")
    assert read_text_pairs(en, de) == [("a dog", "ein Hund"), ("a\u2028cat", "eine\rKatze")]
    de.write_text("ein Hund\n", encoding="utf-8")
    with pytest.raises(ValueError, match="target: expected 2 lines as in source, got 1"):
        read_text_pairs(en, de)


@pytest.mark.parametrize("width", [1, 2, 3, 4])
def test_wav_files_of_each_width(tmp_path, width):
    full = 2 ** (8 * width - 1)
    values = [-full, 0, full // 2, full - 1]
    frames = b"".join(
        (v + 128).to_bytes(1, "little") if width == 1 else v.to_bytes(width, "little", signed=True)
        for v in values
    )
    write_wav(tmp_path / "a.wav", frames, width)
    samples, rate = read_wav(tmp_path / "a.wav")
    assert samples.dtype == np.float32
    assert rate == 8000
    np.testing.assert_allclose(samples, np.array(values) / full, atol=1e-7)


def test_channels_become_their_mean(tmp_path):
    frames = np.array([[16384, 0], [-16384, 16384]], "<i2").tobytes()
    write_wav(tmp_path / "a.wav", frames, channels=2)
    assert read_wav(tmp_path / "a.wav")[0].tolist() == [0.25, 0]


def test_sound_that_is_cut_short_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    write_wav(path, bytes(40), channels=2)
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        message = "bytes of sound, got" if n >= 44 else "uncompressed"
        with pytest.raises(ValueError, match=rf"a\.wav: expected .*{message}"):
            read_wav(path)
    path.write_bytes(whole[:16] + b"\xff" + whole[17:])  # a chunk longer than the file
    with pytest.raises(ValueError, match=r"a\.wav: expected uncompressed"):
        read_wav(path)


def test_recordings_are_labeled_by_their_folder(tmp_path):
    for name in ("yes/b.wav", "no/a.wav", "yes/a.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        write_wav(tmp_path / name, np.zeros(len(name), "<i2").tobytes(), rate=16000)
    found = read_recordings(tmp_path)
    assert [recording.label for recording in found] == ["no", "yes", "yes"]
    assert [recording.samples.shape for recording in found] == [(8,), (9,), (9,)]
    assert {recording.rate for recording in found} == {16000}


def test_folders_and_files_without_sound_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"expected \.wav files, got none"):
        read_recordings(tmp_path)
    for data in (b"", b"no sound at all"):
        (tmp_path / "a.wav").write_bytes(data)
        with pytest.raises(ValueError, match=r"a\.wav: expected uncompressed \.wav sound"):
            read_recordings(tmp_path)


@pytest.mark.parametrize(("rate", "new_rate"), [(16000, 8000), (8000, 16000), (44100, 8000)])
def test_a_resampled_tone_is_the_same_tone(rate, new_rate):
    def tone(r):
        return np.sin(2 * np.pi * 440 * np.arange(r) / r).astype(np.float32)  # one second

    assert np.abs(resample(tone(rate), rate, new_rate) - tone(new_rate)).max() < 1e-3
    assert np.array_equal(resample(tone(rate), rate, rate), tone(rate))


def test_frequencies_that_do_not_fit_go():
    high = np.sin(2 * np.pi * 6000 * np.arange(16000) / 16000).astype(np.float32)
    assert np.abs(resample(high, 16000, 8000)).max() < 1e-3


def test_spoken_words_come_with_their_voices(tmp_path):
    for word, file in (("two", "bob_2"), ("two", "anna_1"), ("one", "anna_1"), ("cat", "eve_1")):
        (tmp_path / word).mkdir(exist_ok=True)
        write_wav(tmp_path / word / f"{file}.wav", b"\x00\x40" * 160, rate=16000)
    words = read_spoken_words(tmp_path, ["one", "two"])
    assert [(w.label, w.voice) for w in words] == [("one", "anna"), ("two", "anna"), ("two", "bob")]
    assert all(len(w.samples) == 80 for w in words)
    with pytest.raises(FileNotFoundError, match=r"three: expected \.wav files"):
        read_spoken_words(tmp_path, ["three"])
