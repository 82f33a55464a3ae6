"""`mcugen evaluate`: how well one or several formats of a face model verify people, and how far they agree.

The JSON (`schema` "mcugen-evaluate-1"). Rates are fractions of 1, angles degrees, null is "not measurable here".

    accuracy, accuracy_std, auc, eer, threshold, threshold_from, folds, tar_at_far, ...: those of the first model
    pairs, images, people: how many; pairs_from: file name or "built from folders"; selected_folds: their numbers
    notes: what limits the figures, in sentences
    models: for each model
        name, engine, digest, dimension (length of an embedding)
        accuracy: mean over folds, each with the threshold chosen on the other folds; accuracy_std: their sample
            standard deviation (null for one fold); threshold_from: "the other folds" or "the scored fold itself"
        folds: [{fold, pairs, threshold, accuracy}]; threshold: the best over all pairs, the one to deploy
        genuine, impostor (pairs), auc, eer, tar_at_far: {"0.1": .., "0.01": .., "0.001": ..}
        every_two_images: {genuine, impostor, auc, eer, tar_at_far} over every two images within a fold
        angles: {people, worst, mean}: margin of the heatmap (`mcugen.metrics.heatmap.Margin`)
    agreement: for each two models {reference, other, both, neither, gained, lost, overlap, jaccard, p_value}
    venn: [{models: [..], pairs}]: pairs that exactly these models answer right ([] for none of them)
    fidelity: for each two models {reference, other, cosine_mean, cosine_q01, cosine_min, sqnr_db, identical}
    heatmap: {people: [..], changes: [{reference, other, max_abs, mean_abs, mean}]}
"""

from mcugen.evaluate.embed import EvaluatedModel
from mcugen.evaluate.run import evaluate, summary

__all__ = ["EvaluatedModel", "evaluate", "summary"]
