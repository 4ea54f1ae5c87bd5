"""Whether kernels compute what they should: problems, a reference with bounds, and the check.

The reference is the NumPy backend in float64, which shares no code with the kernels. How far a
kernel may be off follows from its arithmetic; nothing here is tuned.
"""
