"""A small classifier of one collection's traits: which hat, which eyes, for pictures that a generator drew."""

from metagan.networks.trait_classifier.load import ARCHITECTURE_NAME, describe_classifier, load_classifier
from metagan.networks.trait_classifier.network import Head, TraitClassifier, TraitClassifierConfig

__all__ = [
    "ARCHITECTURE_NAME",
    "Head",
    "TraitClassifier",
    "TraitClassifierConfig",
    "describe_classifier",
    "load_classifier",
]
