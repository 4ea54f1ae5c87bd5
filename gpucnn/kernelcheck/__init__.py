"""Whether backends compute what they should: drawn cases, what is expected of them, the check.

What is expected, and how far a result may be from it, is from the operations' own references.
"""
