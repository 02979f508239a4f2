"""The rooms with windows: everything a person sees. It reads recordings and never a model."""
