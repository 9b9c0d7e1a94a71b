import numpy as np
import pytest

from rnncourse.data import corpus
from rnncourse.data.corpus import Streams, encode_files, open_corpus
from rnncourse.data.text import stream_batches


def write(folder, *texts):
    paths = [folder / f"{i}.txt" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_bytes(text.encode())
    return paths


def test_files_are_one_text_whatever_the_size_of_a_piece(tmp_path, monkeypatch):
    texts = ["Größe: zwölf\r\n" * 5, "and plain text, a little more of it\n" * 3]
    paths = write(tmp_path, *texts)
    for size in (1, 2, 7, 1000):
        monkeypatch.setattr(corpus, "CHUNK", size)
        found = encode_files(paths, tmp_path / "out", held_out=0.25)
        whole = np.concatenate([found.train, found.valid])
        assert found.vocabulary.decode(whole) == "".join(texts)
        assert len(found.valid) == round(0.25 * len(whole))
        assert whole.dtype == np.uint8


def test_the_vocabulary_is_that_of_the_training_part(tmp_path):
    found = encode_files(write(tmp_path, "abab" * 5 + "abzz"), tmp_path / "out", held_out=0.1)
    assert found.vocabulary.tokens == ("<unk>", "a", "b")
    assert list(found.valid) == [0, 0]
    late = encode_files(write(tmp_path, "ab" * 9 + "za"), tmp_path / "out", held_out=0.05)
    assert late.vocabulary.tokens == ("<unk>", "a", "b", "z")  # z is the last of the training part


def test_many_characters_take_wider_numbers(tmp_path):
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 300))) * 2
    found = encode_files(write(tmp_path, text), tmp_path / "out")
    assert found.train.dtype == np.uint16
    assert found.vocabulary.decode(found.train) == text[: len(found.train)]


def test_it_is_mapped_from_the_disk_and_opens_again(tmp_path):
    first = encode_files(write(tmp_path, "some text, " * 20), tmp_path / "out")
    second = open_corpus(tmp_path / "out")
    assert isinstance(second.train.base, np.memmap) or isinstance(second.train, np.memmap)
    assert np.array_equal(first.train, second.train)
    assert first.vocabulary.tokens == second.vocabulary.tokens


def test_bad_input(tmp_path):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match="at least one text file, got none"):
        encode_files([], out)
    with pytest.raises(FileNotFoundError, match=r"nothing\.txt"):
        encode_files([tmp_path / "nothing.txt"], out)
    with pytest.raises(ValueError, match=r"held_out: expected .* got 1"):
        encode_files(write(tmp_path, "text"), out, held_out=1)
    with pytest.raises(ValueError, match="at least two characters of text, got 1"):
        encode_files(write(tmp_path, "a"), out)
    (tmp_path / "latin.txt").write_bytes("Größe".encode("latin-1"))
    with pytest.raises(ValueError, match=r"UTF-8, got .*latin\.txt"):
        encode_files([tmp_path / "latin.txt"], out)
    with pytest.raises(FileNotFoundError):
        open_corpus(tmp_path / "empty")


@pytest.mark.parametrize("world", [1, 2, 3, 6])
def test_the_shares_of_all_processes_are_the_whole_batch(rng, world):
    ids = rng.integers(50, size=6 * 5 * 4 + 3)
    shares = [Streams(ids, 6, 5, rank, world) for rank in range(world)]
    whole = stream_batches(ids, 6, 5)
    assert [share.n_batches for share in shares] == [len(whole)] * world
    for n, (x, y) in enumerate(whole):
        assert np.array_equal(np.concatenate([share[n][0] for share in shares], axis=1), x)
        assert np.array_equal(np.concatenate([share[n][1] for share in shares], axis=1), y)


def test_bad_shares():
    ids = np.arange(100)
    with pytest.raises(ValueError, match="multiple of the 3 processes, got 4"):
        Streams(ids, 4, 5, 0, 3)
    with pytest.raises(ValueError, match="rank: expected a number below world = 2, got 2"):
        Streams(ids, 4, 5, 2, 2)
    with pytest.raises(ValueError, match="101 symbols, got 100"):
        Streams(ids, 10, 10)
    with pytest.raises(ValueError, match="seq_len"):
        Streams(ids, 4, 0)
    with pytest.raises(IndexError, match="from 0 to 3, got 4"):
        Streams(ids, 4, 5)[4]
