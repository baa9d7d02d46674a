"""The NEUROGAME study: coalition filters, their controls, and what their maps explain."""
