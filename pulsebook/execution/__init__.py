"""How a notebook is executed: papermill's client and engine, the kernel, its outputs, and how a cell failed."""
