"""The pipelines: the only orchestration, named after the operations of `Memory`."""
