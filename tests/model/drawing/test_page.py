# SPDX-License-Identifier: Apache-2.0
import re

import numpy as np

from panpipe.model.drawing import page, panels, sheet

PICTURE = np.full((5, 8, 3), 90, np.uint8)


def _sheet(name, *more):
    shared = sheet.Key('Errors', [sheet.Entry((1, 2, 3), 'missed')])
    rows = [[panels.Panel('image', PICTURE), panels.Panel('a < b', PICTURE)], [panels.Panel('c', PICTURE)]]
    return sheet.Sheet(name, rows, [*more, shared])


def test_a_page_holds_all_and_refers_to_nothing():
    own = sheet.Key('Classes', [sheet.Entry(PICTURE, 'road', '5 %')])
    text = page.render('two & more', [_sheet('first', own), _sheet('<second>')])
    assert text.count('<figure>') == 6
    assert not re.search(r'(src|href)="(?!data:)|url\(|<script|@import', text)
    for words in ('two &amp; more', '&lt;second&gt;', 'a &lt; b', 'road <small>5 %</small>', 'rgb(1, 2, 3)'):
        assert words in text
    assert text.count('<section>') == text.count('</section>') == 2


def test_keys_that_all_sheets_share_stand_once():
    other = sheet.Sheet('', [], [sheet.Key('Errors', [sheet.Entry((9, 9, 9), 'else')])])
    assert page.render('', [_sheet('a'), _sheet('b'), _sheet('c')]).count('<b>Errors</b>') == 1
    assert page.render('', [_sheet('a')]).count('<b>Errors</b>') == 1
    assert page.render('', [_sheet('a'), other]).count('<b>Errors</b>') == 2


def test_no_pictures_are_told():
    assert 'no pictures' in page.render('empty', [])
