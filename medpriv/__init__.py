"""Privacy attacks and defenses for medical deep learning: the package under the course.

The rooms, from the ground up; each imports only those before it: ``runtime``, ``statistics``,
``data``, ``models``, ``training``, ``deployment``, ``defenses``, ``metrics``, ``attacks``,
``evaluation``, ``course``.
"""

__version__ = "0.1.0"
