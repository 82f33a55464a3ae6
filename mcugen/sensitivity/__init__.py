"""`mcugen sensitivity`: how much each block of a network suffers from few bits, and what mixtures of bits are worth.

Nothing is trained: weights are quantized as they are (`mcugen.sensitivity.blocks` says how) in the float network of the
model (`mcugen.float_twin`). The JSON (`schema` "mcugen-sensitivity-1"):

    model, digest, images, activations (whether activations take the bits too)
    measure: "accuracy" (k-fold verification accuracy of the pairs) or "cosine" (mean cosine with the float embedding)
    blocks: [{name, weights, fixed_bits}]: fixed_bits is 1 where a block's weights are binary in any case, else null
    float: {accuracy, cosine, sqnr_db} of the float network; accuracy is null without pairs
    single: [{block, bits, accuracy, cosine, sqnr_db}]: this block alone quantized, the rest float
    mixed: [{name, bits: {block: bits}, weight_bits, accuracy, cosine, sqnr_db, pareto}]: every block quantized;
        weight_bits: packed bits of all weights; pareto: no other configuration is both smaller and better
    accuracy, cosine and sqnr_db are null where an embedding had no direction (all zero, or not finite)
"""

from mcugen.sensitivity.study import Pairs, Study, study

__all__ = ["Pairs", "Study", "study"]
