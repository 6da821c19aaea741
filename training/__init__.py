"""The one training loop and its parts: losses, schedules, optimizers, densification, distillation, checkpoints."""
