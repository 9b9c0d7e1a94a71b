"""Support package of the course on recurrent neural networks."""
