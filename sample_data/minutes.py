"""A company's meeting minutes and reports in Japanese: one year, month by month."""

from __future__ import annotations

from datetime import date, timedelta

from sample_data.grammar import Writer, load_pools

SEED = 20240401
MONTHS = range(4, 16)  # 13 to 15 are January to March of the next year, as companies here count
LEADERS = {
    "sales": "営業　早川",
    "production": "製造　黒田",
    "quality": "品質保証　長谷部",
    "purchase": "購買　水越",
    "develop": "開発　綾部",
    "people": "人事　遠山",
    "safety": "安全　真壁",
    "system": "情報　沢渡",
    "finance": "経理　皆川",
    "estate": "総務　桐生",
}
BOARD = ["sales", "finance", "people", "estate"]
WORKS = ["production", "quality", "purchase", "develop"]
# The first two meet in turn every month, the last two in turn every other month.
COMMITTEES = [
    ("安全衛生委員会", "safety"),
    ("情報システム部会", "system"),
    ("調達連絡会", "purchase"),
    ("人材育成部会", "people"),
]
REPORTS = {
    4: ("候補地調査報告書", "estate"),
    5: ("現行システム利用状況 調査報告書", "system"),
    6: ("出張報告書", "quality"),
    7: ("出張報告書（その二）", "quality"),
    8: ("展示会 参加報告書", "sales"),
    9: ("貸出し評価 中間報告書", "develop"),
    10: ("説明書改訂 完了報告書", "quality"),
    11: ("社内の伝え方 試行報告書", "people"),
    12: ("顧客訪問報告書", "sales"),
    13: ("内部監査 報告書", "finance"),
    14: ("文書保管 点検報告書", "estate"),
    15: ("基幹システム更新 完了報告書", "system"),
}
STORIES = {
    "facts": "総務からの確認事項",
    "hibari": "開発品「ひばり」の状況",
    "factory": "第二工場の計画",
    "core": "基幹システムの更新",
    "claim": "トルクセンサの申し出への対応",
    "leader": "経営の体制",
}
TITLE = """\
みねづき精工株式会社　議事録・報告書綴り
2024年度（2024年4月から2025年3月まで）　総務課 編

この綴りは見本として作られた創作であり、実在の会社、人物とは関係がありません。
"""


def minutes() -> str:
    """The whole binder, always the same."""
    writer = Writer(load_pools("minutes_ja"), SEED)
    stories = _stories()
    documents = [TITLE]
    for month, column in zip(MONTHS, writer.pools["column"], strict=True):
        told = [stories.get((month, number), []) for number in (1, 2, 3)]
        documents += [
            _minutes(writer, f"経営会議　第{month - 3}回", _day(writer, month, 8), BOARD, 3, told[0]),
            *_committees(writer, month),
            _minutes(writer, f"生産開発会議　{_month_name(month)}定例", _day(writer, month, 24), WORKS, 2, told[1]),
            _report(writer, month, told[2]),
            f"【社内報】{_month_name(month)}号　囲み記事\n{column}\n",
        ]
    return "\n".join(documents)


def _stories() -> dict[tuple[int, int], list[tuple[str, str]]]:
    """What carries the year's stories: ``{(month, document of the month): [(title, paragraph), ...]}``."""
    beats: dict[tuple[int, int], list[tuple[str, str]]] = {}
    for story, lines in load_pools("minutes_stories_ja").items():
        for line in lines:
            month, document, text = line.split(" ", 2)
            beats.setdefault((int(month), int(document)), []).append((STORIES[story], text))
    return beats


def _month_name(month: int) -> str:
    return f"{(month - 1) % 12 + 1}月"


def _day(writer: Writer, month: int, earliest: int) -> date:
    """A working day of the month, at most six days after the earliest."""
    day = date(2024 + (month > 12), (month - 1) % 12 + 1, earliest) + timedelta(days=writer.below(3))
    return day + timedelta(days=max(0, 7 - day.weekday()) if day.weekday() > 4 else 0)


def _written(day: date) -> str:
    return f"{day.year}年{day.month}月{day.day}日（{'月火水木金土日'[day.weekday()]}）"


def _minutes(writer: Writer, title: str, day: date, themes: list[str], count: int, told: list[tuple[str, str]]) -> str:
    chosen = writer.shuffled(themes)[:count]
    hour, people = (9, 10, 11, 13, 14, 15)[writer.below(6)], writer.shuffled(writer.pools["who"])
    lines = [
        f"【議事録】{title}",
        f"日時　{_written(day)}　{hour}時{writer.choose(['', '15分', '30分'])}から",
        f"場所　{writer.line('room')}",
        f"議長　{people[0]}　　出席　{'、'.join(people[1:-1])}　　書記　{people[-1]}",
        "",
        writer.line("opening"),
    ]
    for number, theme in enumerate(chosen, start=1):
        lines += ["", f"議題{number}　{writer.line(f'{theme}.name')}", *_discussion(writer, theme)]
    for number, (subject, text) in enumerate(told, start=len(chosen) + 1):
        lines += ["", f"議題{number}　{subject}", text]
    lines += ["", f"その他　{' '.join(writer.lines('misc', writer.between(1, 2)))}", writer.line("closing"), ""]
    return "\n".join(lines)


def _discussion(writer: Writer, theme: str) -> list[str]:
    """Report, remarks, decisions and homework on one theme, in one of three forms."""
    report = "".join(writer.lines(f"{theme}.report", 2))
    remarks = writer.lines(f"{theme}.remark", 4 if theme in WORKS else 3)
    reply = writer.line("reply")
    decisions = writer.lines(f"{theme}.decision", writer.between(1, 2))
    tasks = [
        f"{text}（{writer.line('who')}、{writer.line('due')}）"
        for text in writer.lines(f"{theme}.task", writer.between(1, 2))
    ]
    form = writer.below(3)
    if form == 0:
        speakers = writer.shuffled(writer.pools["who"])
        spoken = [f"・{speaker}　{text}" for speaker, text in zip(speakers, remarks, strict=False)]
        lines = [f"{LEADERS[theme]}から報告。{report}", *spoken[:2], reply, *spoken[2:]]
    elif form == 1:
        lines = [report, f"討議では次の意見があった。{''.join(remarks[:2])}", f"{reply}{''.join(remarks[2:])}"]
    else:
        lines = [f"（報告）{report}", *(f"（意見）{text}" for text in remarks), f"（経過）{reply}"]
    return [*lines, f"決定　{''.join(decisions)}", f"宿題　{'／'.join(tasks)}"]


def _committees(writer: Writer, month: int) -> list[str]:
    meeting = [COMMITTEES[month % 2]]
    if month % 2:
        meeting.append(COMMITTEES[2 + month // 2 % 2])
    return [
        _minutes(writer, f"{name}　{_month_name(month)}", _day(writer, month, 16), [theme], 1, [])
        for name, theme in meeting
    ]


def _report(writer: Writer, month: int, told: list[tuple[str, str]]) -> str:
    title, theme = REPORTS[month]
    lines = [
        f"【報告書】{title}",
        f"提出　{_written(_day(writer, month, 26))}　　報告者　{writer.line('who')}、{writer.line('who')}",
        "",
        f"一　目的　{writer.line('purpose')}",
        f"二　方法　{''.join(writer.lines('method', 2))}",
        "三　結果",
        *(text for _, text in told),
        f"{writer.line('aside')}{''.join(writer.lines(f'{theme}.report', 2) + writer.lines(f'{theme}.remark', 2))}",
        f"四　所感　{writer.line('thought')}",
        f"五　今後の対応　{''.join(writer.lines(f'{theme}.decision', 1))}"
        f"{'、'.join(writer.lines(f'{theme}.task', 2))}を行う。",
        "",
    ]
    return "\n".join(lines)
