"""`packsight models quantise`: networks in 8-bit integers, tried on the catalog's own photos, each accepted or refused.

Jacob et al., Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference, CVPR 2018.
"""
