"""Whether backends compute what they should: drawn cases, what is expected of them, the check.

The expected values, and how far a result may be from them, come from the operations' own
references.
"""
