"""The operations every backend has, a file a family: what each computes, its shapes and checks.

A public method here checks its arguments and hands them to a hook of the same name with a
leading underscore, which a backend implements. So arguments are checked once, alike everywhere,
before anything is launched.
"""
