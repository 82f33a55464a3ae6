"""The random-model machine: specs (drawn without TensorFlow), the worker that asks QKeras, batches of compiled models."""
