"""English sentences with their Spanish translation, from a grammar that writes both at once.

It isolates what is hard about translation:

*the old woman 's brothers did not buy the red house*
    *los hermanos de la mujer vieja no compraron la casa roja*

Agreement
    *the* becomes *el*, *la*, *los* or *las* by the gender and the number of its noun, and
    adjectives follow suit. *bought* becomes *compró* or *compraron* by the subject, which may
    be far away.
Order
    Adjectives follow their noun, two of them in reverse order. An owner changes places with what
    is owned.
Count
    *did not buy* becomes two words, *the … 's* may become one (*del*), and an owned thing gets an
    article.

The Spanish sentence follows from the English one, so a translator can be right every time. The
vocabulary is large enough for billions of sentences: a translator that memorizes sentences
knows none of those held out.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rnncourse.checks import check_at_least, check_shape, check_type
from rnncourse.data.text import UNKNOWN, Vocabulary

PAD, BEGIN, END = "<pad>", "<bos>", "<eos>"

Target = list[tuple[str, tuple[int, ...]]]  # Spanish words, and which English words they render


def _table(text: str) -> list[list[str]]:
    return [line.split() for line in text.strip().splitlines()]


# English singular and plural; Spanish singular, plural and gender.
PEOPLE = _table("""
    woman women mujer mujeres f
    man men hombre hombres m
    girl girls niña niñas f
    boy boys niño niños m
    sister sisters hermana hermanas f
    brother brothers hermano hermanos m
    aunt aunts tía tías f
    uncle uncles tío tíos m
    queen queens reina reinas f
    king kings rey reyes m
    actress actresses actriz actrices f
    actor actors actor actores m
    doctor doctors médico médicos m
    nurse nurses enfermera enfermeras f
    cook cooks cocinero cocineros m
    lawyer lawyers abogada abogadas f
    painter painters pintor pintores m
    neighbor neighbors vecino vecinos m
    farmer farmers campesino campesinos m
    writer writers escritora escritoras f
    dancer dancers bailarina bailarinas f
    engineer engineers ingeniera ingenieras f
    student students estudiante estudiantes m
    cousin cousins prima primas f
""")
THINGS = _table("""
    house houses casa casas f
    table tables mesa mesas f
    chair chairs silla sillas f
    window windows ventana ventanas f
    book books libro libros m
    car cars coche coches m
    bicycle bicycles bicicleta bicicletas f
    tree trees árbol árboles m
    flower flowers flor flores f
    key keys llave llaves f
    letter letters carta cartas f
    clock clocks reloj relojes m
    shirt shirts camisa camisas f
    shoe shoes zapato zapatos m
    hat hats sombrero sombreros m
    knife knives cuchillo cuchillos m
    glass glasses vaso vasos m
    bottle bottles botella botellas f
    plate plates plato platos m
    door doors puerta puertas f
    bed beds cama camas f
    box boxes caja cajas f
    ship ships barco barcos m
    map maps mapa mapas m
    photo photos foto fotos f
    pencil pencils lápiz lápices m
    newspaper newspapers periódico periódicos m
    apple apples manzana manzanas f
    orange oranges naranja naranjas f
    lemon lemons limón limones m
    egg eggs huevo huevos m
    cake cakes pastel pasteles m
    guitar guitars guitarra guitarras f
    piano pianos piano pianos m
    drum drums tambor tambores m
    ring rings anillo anillos m
    suitcase suitcases maleta maletas f
    ball balls pelota pelotas f
    lamp lamps lámpara lámparas f
    mirror mirrors espejo espejos m
    blanket blankets manta mantas f
    coin coins moneda monedas f
    engine engines motor motores m
    wall walls pared paredes f
""")
# English; Spanish masculine singular, and its plural where no rule gives it. Of two adjectives the
# English sentence has one of the first table, then one of the second.
PEOPLE_ADJECTIVES = (
    _table("""
        tired cansado
        happy feliz felices
        sad triste
        kind amable
        intelligent inteligente
        serious serio
        brave valiente
        shy tímido
        quiet tranquilo
        nervous nervioso
        angry enojado
        polite cortés corteses
    """),
    _table("""
        tall alto
        young joven jóvenes
        old viejo
        famous famoso
        rich rico
        poor pobre
        strong fuerte
        thin delgado
    """),
)
THING_ADJECTIVES = (
    _table("""
        big grande
        small pequeño
        new nuevo
        old viejo
        expensive caro
        cheap barato
        dirty sucio
        heavy pesado
        long largo
        short corto
        strange extraño
        beautiful hermoso
        elegant elegante
    """),
    _table("""
        red rojo
        yellow amarillo
        white blanco
        black negro
        green verde
        blue azul
        gray gris
        brown marrón marrones
        round redondo
        modern moderno
        broken roto
        dark oscuro
    """),
)
# English plain form, third person and past; Spanish singular and plural, present and past.
VERBS = _table("""
    see sees saw ve ven vio vieron
    buy buys bought compra compran compró compraron
    sell sells sold vende venden vendió vendieron
    find finds found encuentra encuentran encontró encontraron
    paint paints painted pinta pintan pintó pintaron
    clean cleans cleaned limpia limpian limpió limpiaron
    carry carries carried lleva llevan llevó llevaron
    break breaks broke rompe rompen rompió rompieron
    hide hides hid esconde esconden escondió escondieron
    lose loses lost pierde pierden perdió perdieron
    need needs needed necesita necesitan necesitó necesitaron
    wash washes washed lava lavan lavó lavaron
    draw draws drew dibuja dibujan dibujó dibujaron
    steal steals stole roba roban robó robaron
    repair repairs repaired repara reparan reparó repararon
    bring brings brought trae traen trajo trajeron
    choose chooses chose elige eligen eligió eligieron
    forget forgets forgot olvida olvidan olvidó olvidaron
    remember remembers remembered recuerda recuerdan recordó recordaron
    move moves moved mueve mueven movió movieron
    touch touches touched toca tocan tocó tocaron
""")
# English singular and plural; Spanish masculine and feminine, singular and plural.
DETERMINERS = _table("""
    the the el la los las
    a some un una unos unas
    this these este esta estos estas
    that those ese esa esos esas
    my my mi mi mis mis
    our our nuestro nuestra nuestros nuestras
""")
LINKS = _table("""
    and y
    but pero
    because porque
    when cuando
    while mientras
""")


class Pair(NamedTuple):
    """A sentence in both languages."""

    english: tuple[str, ...]
    spanish: tuple[str, ...]
    alignment: tuple[tuple[int, int], ...]  # (English position, Spanish position), by the latter


def translation_pairs(
    n: int,
    rng: np.random.Generator,
    lengths: tuple[int, int] = (5, 15),
    words: int | None = None,
) -> list[Pair]:
    """Draw different sentences with their translations.

    No two have the same English, so wherever the list is cut, the second part is held out from
    the first. A dictionary that translates word by word, :func:`word_by_word`, finds about 65 % of
    the words and, at the default lengths, gets 1 or 2 % of the sentences right.

    Parameters
    ----------
    n
        How many, at most a million. (There are six million sentences of 5 words.)
    rng
        Random generator.
    lengths
        The fewest and the most English words, at least 5; each number between comes equally
        often. The Spanish sentence has about as many.
    words
        Use only so many people, things, verbs and adjectives of each kind, at least 8; all if left
        out. With fewer words a small translator learns the grammar in fewer updates.

    Returns
    -------
    pairs
        A list of ``n``, each with both sentences and which word renders which.

    Raises
    ------
    TypeError, ValueError
        If a number is not whole or out of its range, ``lengths`` are not two numbers, or ``rng``
        is not a generator.

    Examples
    --------
    >>> pairs = translation_pairs(2, np.random.default_rng(3), lengths=(8, 9))
    >>> for words in (*pairs[0][:2], *pairs[1][:2]):
    ...     print(" ".join(words))
    that kind famous woman needs the short red trees
    esa mujer famosa amable necesita los árboles rojos cortos
    my old cook touched my long brown shirt
    mi cocinero viejo tocó mi camisa marrón larga
    """
    check_at_least("n", n, 0)
    if n > 1_000_000:
        raise ValueError(f"n: expected at most a million, got {n}")
    check_type("rng", rng, np.random.Generator)
    check_shape("lengths", np.shape(lengths), (2,))
    check_at_least("lengths[0]", lengths[0], 5)
    check_at_least("lengths[1]", lengths[1], lengths[0])
    if words is not None:
        check_at_least("words", words, 8)
    drawn: dict[tuple[str, ...], Pair] = {}
    while len(drawn) < n:
        pair = _sentence(int(rng.integers(lengths[0], lengths[1] + 1)), rng, words)
        drawn.setdefault(pair.english, pair)
    return list(drawn.values())


def vocabularies() -> tuple[Vocabulary, Vocabulary]:
    """Return the vocabularies of English and of Spanish, with all words.

    Both begin with ``"<pad>"`` (number 0), ``"<bos>"``, ``"<eos>"`` and ``"<unk>"``.

    Examples
    --------
    >>> english, spanish = vocabularies()
    >>> len(english), len(spanish)
    (268, 400)
    """
    english = {"an", "do", "does", "did", "not", "'s", "'"}
    spanish = {"no", "de", "del"}
    for table, n in ((PEOPLE, 2), (THINGS, 2), (VERBS, 3), (DETERMINERS, 2), (LINKS, 1)):
        english |= {word for row in table for word in row[:n]}
        spanish |= {word for row in table for word in row[n:] if word not in ("m", "f")}
    for adjective, *forms in chain(*PEOPLE_ADJECTIVES, *THING_ADJECTIVES):
        english.add(adjective)
        spanish |= set(_adjective_forms(*forms))
    specials = (PAD, BEGIN, END, UNKNOWN)
    return Vocabulary(sorted(english), specials), Vocabulary(sorted(spanish), specials)


def word_by_word(pairs: Sequence[Pair]) -> dict[str, str]:
    """Return the dictionary that knows words but no grammar: the baseline for a translator.

    Parameters
    ----------
    pairs
        What to learn from.

    Returns
    -------
    dictionary
        For each English word in the pairs, the Spanish word that renders it most often.
    """
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for pair in pairs:
        for i, j in pair.alignment:
            counts[pair.english[i]][pair.spanish[j]] += 1
    return {word: count.most_common(1)[0][0] for word, count in counts.items()}


class PairBatch(NamedTuple):
    """Pairs side by side, as an encoder and a decoder read them."""

    source: NDArray[np.int64]  # (S, B): English, then "<eos>"
    source_lengths: NDArray[np.int64]  # (B,): with "<eos>"
    target: NDArray[np.int64]  # (T + 1, B): "<bos>", Spanish, "<eos>"
    target_lengths: NDArray[np.int64]  # (B,): with "<eos>", without "<bos>"


def pad_pairs(pairs: Sequence[Pair], english: Vocabulary, spanish: Vocabulary) -> PairBatch:
    """Put pairs side by side, the shorter sentences padded with ``"<pad>"``.

    A decoder reads ``target[:-1]`` and predicts ``target[1:]``.

    Parameters
    ----------
    pairs
        B pairs.
    english, spanish
        As :func:`vocabularies` returns them.

    Returns
    -------
    source, source_lengths, target, target_lengths
        int64 ``(S, B)``, ``(B,)``, ``(T + 1, B)`` and ``(B,)``.

    Raises
    ------
    ValueError
        If there is no pair, or a vocabulary lacks a special symbol.

    Examples
    --------
    >>> pair = Pair(("the", "egg"), ("el", "huevo"), ((0, 0), (1, 1)))
    >>> english, spanish = vocabularies()
    >>> batch = pad_pairs([pair], english, spanish)
    >>> spanish.decode(batch.target[:, 0], separator=" ")
    '<bos> el huevo <eos>'
    """
    if not pairs:
        raise ValueError("pairs: expected at least one pair, got none")
    for name, words in (("english", english), ("spanish", spanish)):
        for special in (PAD, BEGIN, END):
            if special not in words:
                raise ValueError(f"{name}: expected a vocabulary with {special!r}")
    source, source_lengths = _pad([[*pair.english, END] for pair in pairs], english)
    target, target_lengths = _pad([[BEGIN, *pair.spanish, END] for pair in pairs], spanish)
    return PairBatch(source, source_lengths, target, target_lengths - 1)


def _pad(
    sentences: list[list[str]], words: Vocabulary
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    lengths = np.array([len(sentence) for sentence in sentences], np.int64)
    ids = np.full((int(lengths.max()), len(sentences)), words[PAD], np.int64)
    for b, sentence in enumerate(sentences):
        ids[: len(sentence), b] = words.encode(sentence)
    return ids, lengths


def _sentence(n_words: int, rng: np.random.Generator, words: int | None) -> Pair:
    """Draw a sentence with ``n_words`` English words.

    A clause has at least 5 words, as in *the king sees a map*. Three things may add 2 words each:
    "not" and an owner of the subject or the object. Four adjectives may add 1 each. Each clause
    but the first has a word before it that links it.
    """
    n_clauses = int(rng.integers(-(-(n_words + 1) // 16), (n_words + 1) // 6 + 1))
    extra = n_words + 1 - 6 * n_clauses
    fewest = max(0, -(-(extra - 4 * n_clauses) // 2))
    n_pairs = int(rng.integers(fewest, min(3 * n_clauses, extra // 2) + 1))
    twos = rng.permutation(np.arange(3 * n_clauses) < n_pairs).reshape(n_clauses, 3)
    slots = np.ones((n_clauses, 2, 3), bool)  # adjectives of a subject and of an object: 2, owner 1
    slots[:, :, 2] = twos[:, 1:]
    filled = np.zeros_like(slots)
    chosen = rng.permutation(np.flatnonzero(slots))[: extra - 2 * n_pairs]
    filled.flat[chosen] = True
    english: list[str] = []
    spanish: Target = []
    for (negated, *owned), adjectives in zip(twos.tolist(), filled, strict=True):
        if english:
            link = _pick(LINKS, rng)
            _append(english, spanish, [link[0]], [(link[1], (0,))])
        for part in range(2):
            nouns, kinds = ((PEOPLE, PEOPLE_ADJECTIVES), (THINGS, THING_ADJECTIVES))[part]
            nouns, kinds = nouns[:words], (kinds[0][:words], kinds[1][:words])
            owner = int(adjectives[part, 2]) if owned[part] else None
            phrase, rendered, plural = _noun_phrase(
                nouns, kinds, int(adjectives[part, :2].sum()), owner, rng, words
            )
            _append(english, spanish, phrase, rendered)
            if part == 0:
                _append(english, spanish, *_verb(plural, negated, rng, words))
    alignment = tuple((i, j) for j, (_, sources) in enumerate(spanish) for i in sources)
    return Pair(tuple(english), tuple(word for word, _ in spanish), alignment)


def _noun_phrase(
    nouns: list[list[str]],
    adjectives: tuple[list[list[str]], list[list[str]]],
    n_adjectives: int,
    owner_adjectives: int | None,
    rng: np.random.Generator,
    n_words: int | None,
) -> tuple[list[str], Target, bool]:
    """Draw a noun with its modifiers, and tell whether it is plural."""
    noun, plural = _pick(nouns, rng), bool(rng.integers(2))
    form = 2 * plural + (noun[4] == "f")
    if n_adjectives == 2:
        chosen = [_pick(table, rng) for table in adjectives]
    else:
        chosen = [_pick(adjectives[0] + adjectives[1], rng)] * n_adjectives
    words = [adjective[0] for adjective in chosen] + [noun[plural]]
    rendered: Target = [(noun[2 + plural], (n_adjectives,))]
    for i in reversed(range(n_adjectives)):
        rendered.append((_adjective_forms(*chosen[i][1:])[form], (i,)))
    english: list[str] = []
    spanish: Target = []
    if owner_adjectives is None:
        determiner = _pick(DETERMINERS, rng)
        first = determiner[plural]
        if first == "a" and words[0][0] in "aeiou":
            first = "an"
        _append(english, spanish, [first], [(determiner[2 + form], (0,))])
        _append(english, spanish, words, rendered)
        return english, spanish, plural
    owner, owner_rendered, several = _noun_phrase(
        PEOPLE[:n_words],
        (PEOPLE_ADJECTIVES[0][:n_words], PEOPLE_ADJECTIVES[1][:n_words]),
        owner_adjectives,
        None,
        rng,
        n_words,
    )
    english = [*owner, "'" if several and owner[-1].endswith("s") else "'s"]
    _append(english, spanish, words, rendered)
    mark = (len(owner),)
    if owner_rendered[0][0] == "el":
        owner_rendered[0] = ("del", (*owner_rendered[0][1], *mark))
    else:
        owner_rendered.insert(0, ("de", mark))
    return english, [(DETERMINERS[0][2 + form], mark), *spanish, *owner_rendered], plural


def _verb(
    plural: bool, negated: bool, rng: np.random.Generator, n_words: int | None
) -> tuple[list[str], Target]:
    """Draw a verb that agrees with its subject."""
    verb, past = _pick(VERBS[:n_words], rng), bool(rng.integers(2))
    rendered = verb[3 + 2 * past + plural]
    if negated:
        helper = "did" if past else "do" if plural else "does"
        return [helper, "not", verb[0]], [("no", (1,)), (rendered, (0, 2))]
    return [verb[2 if past else 0 if plural else 1]], [(rendered, (0,))]


def _adjective_forms(singular: str, plural: str | None = None) -> tuple[str, str, str, str]:
    """Return an adjective's masculine and feminine, in the singular and in the plural."""
    if singular.endswith("o"):
        return singular, singular[:-1] + "a", singular + "s", singular[:-1] + "as"
    plural = plural or singular + ("s" if singular.endswith("e") else "es")
    return singular, singular, plural, plural


def _append(english: list[str], spanish: Target, words: list[str], rendered: Target) -> None:
    """Add a phrase to both sides, its positions shifted."""
    n = len(english)
    english += words
    spanish += [(word, tuple(n + i for i in sources)) for word, sources in rendered]


def _pick(table: list[list[str]], rng: np.random.Generator) -> list[str]:
    return table[int(rng.integers(len(table)))]
