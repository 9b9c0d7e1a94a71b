"""Support package of the course on recurrent neural networks.

Where things are::

    rnncourse
    ├── reference       NumPy, forward and backward by hand; files written to be read
    │   ├── rnn             the recurrent network
    │   ├── lstm            long short-term memory, with or without peepholes
    │   ├── gru             gated recurrent units, reset after the product or before
    │   ├── stack           what these three share: layers, directions, lengths, weights
    │   ├── layers          linear layer, softmax with cross-entropy and mask
    │   ├── embedding       a vector for each token
    │   ├── normalization   layer normalization
    │   ├── attention       additive and dot-product attention
    │   ├── ctc             the loss of connectionist temporal classification
    │   ├── optim           SGD, Adam, gradient clipping by norm
    │   ├── gradcheck       central differences, relative error
    │   └── arrays          checks of arrays, shared by the models
    ├── torch           PyTorch layers, drop-ins for those of torch.nn
    │   ├── rnn             RNN, trained through the hand-derived pass
    │   ├── lstm            LSTM; in float32, PyTorch's own fused pass is faster and runs
    │   ├── gru             GRU, trained through the hand-derived pass
    │   ├── layers          what these three share: layouts, layers, which pass runs
    │   ├── steps           how they go through time, forwards and backwards
    │   ├── inputs          checks of the tensors passed to a layer
    │   ├── private         what PyTorch offers only under private names
    │   ├── scan            linear recurrences, all steps at once
    │   ├── fused           the same on a GPU, in one kernel written in Triton
    │   ├── minimal         minGRU and minLSTM, whose gates depend on the input alone
    │   ├── state_space     a diagonal state-space layer
    │   ├── linear_attention  attention without softmax: all at once, or as a recurrence
    │   ├── attention       dot-product, additive and multi-head; positions
    │   ├── transformer     a small one, with a key-value cache
    │   └── seq2seq         encoder and decoder, with or without attention
    ├── data            data sets, real and generated; each with a seed and a baseline
    │   ├── text            the Python manual, vocabularies, batches of parallel streams
    │   ├── corpus          a text of any size, encoded once and mapped from the disk
    │   ├── sentences       a small language in which memory can be measured
    │   ├── memory          tasks with a known delay: echo, adding, copying, recall, parity
    │   ├── digits          handwritten digits, row by row
    │   ├── moving_digits   the same, flying through short films
    │   ├── shapes          pictures of two shapes, with captions
    │   ├── speech          digits spoken by a model of the voice
    │   ├── music           melodies from a grammar; MIDI files and sound
    │   ├── chorales        Bach's chorales from music21's corpus, and the rules of their style
    │   ├── series          time series that come with statsmodels
    │   ├── translation     English and Spanish from one grammar, with alignments
    │   ├── reviews         film reviews of three classes from a grammar, with negation and contrast
    │   ├── reports         reports whose summary is known: one fact among distractors
    │   ├── docstrings      texts with a summary that a person wrote, from installed packages
    │   ├── files           readers for public formats: IDX, reviews, text pairs, recordings
    │   └── download        public data sets, with checksum and cache
    ├── experiments     runs too long for a notebook: a file per question, its table beside it
    │   └── machine         does the missing runs, keeps the tables, ties them to the code
    ├── ngram           character n-grams, the baseline of language models
    ├── training        one training loop for the whole course
    ├── train           a character model from the command line, in one process or several
    ├── weights         weights in a file that says what it is, and refuses what does not fit
    ├── checkpoint      stop training and resume it, bit for bit
    ├── decoding        from scores to text: temperature, top-k, nucleus, beam search
    ├── metrics         perplexity, bits per character, edit distance, BLEU, calibration
    ├── templates       words recognized without learning, by dynamic time warping
    ├── plots           the look of the figures, the unrolled network
    ├── interact        figures with a slider and a live network, without a kernel
    ├── computer        where a measurement was made
    ├── checks          errors that say what was expected and what was passed
    ├── bench           our layers against torch.nn, as ratios of alternating runs
    ├── renderings      a chapter's text for the site, and for notebooks opened anywhere
    └── grading         releases, grades and reports on the problem sets

Imports go one way. ``reference`` needs only NumPy, ``torch`` never imports ``reference``,
and the two meet in the tests. Nothing here imports anything from the book.
"""

__version__ = "0.2.0.dev0"
