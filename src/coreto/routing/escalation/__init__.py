"""When a local answer is not good enough: cheap checks of it, and the gain that the cloud would bring."""
