"""What pictures that are put together elsewhere need of the style."""

from __future__ import annotations

from sftkit.inspecting.pictures.style import check_picture as check_picture
from sftkit.inspecting.pictures.style import new_figure as new_figure
from sftkit.inspecting.pictures.style import save_figure as save_figure
