"""Generic tasks: one class serves all backbones."""

from keras_plm.tasks.checkpoint import Checkpoint, resume
from keras_plm.tasks.pretrainer import Pretrainer
from keras_plm.tasks.task import Task
from keras_plm.tasks.text_classifier import TextClassifier
from keras_plm.tasks.text_preprocessor import TextPreprocessor

__all__ = ["Checkpoint", "Pretrainer", "Task", "TextClassifier", "TextPreprocessor", "resume"]
