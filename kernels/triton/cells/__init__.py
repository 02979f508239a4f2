"""LSTM and GRU with their recurrent weights on the chip: forward, backward, and the loop at its door."""
