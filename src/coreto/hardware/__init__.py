"""What memory the machine has: the GPU's by NVML, its own by the system. Without either, an honest ``None``."""
