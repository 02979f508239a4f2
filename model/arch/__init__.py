"""The network around the mixers: norms and products, the residual stack, the head."""
