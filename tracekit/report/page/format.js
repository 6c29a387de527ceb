// Numbers with their units, as tracekit.report.i18n.Locale writes them. What is unknown is a dash.

const DASH = "—";

const numberFormats = new Map();
const numberFormat = (digits) => {
  const key = `${language} ${digits}`;
  if (!numberFormats.has(key)) {
    numberFormats.set(
      key,
      new Intl.NumberFormat(language, {
        minimumFractionDigits: digits,
        maximumFractionDigits: digits,
        useGrouping: "always",
        roundingMode: "halfEven",
      }),
    );
  }
  return numberFormats.get(key);
};

const percentSign = () => (language === "ru" ? "\u00a0%" : "%");

const isKnown = (value) => value != null && Number.isFinite(value);

/** What nobody reads digit by digit. */
const isHuge = (value) => Math.abs(value) >= 1e21;
const huge = (value) => {
  const decimal = numberFormat(1)
    .formatToParts(0.5)
    .find(({ type }) => type === "decimal").value;
  return String(Number(value.toPrecision(3))).replace(".", decimal);
};

const format = {
  /** A whole number. */
  count: (value) => {
    if (!isKnown(value)) return DASH;
    return isHuge(value) ? huge(value) : numberFormat(0).format(value);
  },

  /** `value` with `digits` decimals, or more where less than two significant digits would be left. */
  fixed: (value, digits = 2) => {
    if (!isKnown(value)) return DASH;
    if (value === 0) return "0";
    if (isHuge(value)) return huge(value);
    const shown = Math.abs(value) < 10 ** (1 - digits) ? 1 - Math.floor(Math.log10(Math.abs(value))) : digits;
    return numberFormat(Math.min(shown, 100)).format(value);
  },

  /** A bare number of milliseconds; `<0.001` for less than that. */
  milliseconds: (us, digits = 3) => {
    if (isKnown(us) && us > 0 && us < 10 ** (3 - digits)) return format.lessThan(digits);
    return format.fixed(isKnown(us) ? us / 1e3 : null, digits);
  },

  lessThan: (digits) => `<${numberFormat(digits).format(10 ** -digits)}`,

  /** A duration with the unit that suits it. */
  duration: (us) => {
    if (!isKnown(us)) return DASH;
    if (Math.abs(us) < 1e3) return `${format.fixed(us)} ${_("µs")}`;
    if (Math.abs(us) < 1e6) return `${format.fixed(us / 1e3)} ${_("ms")}`;
    return `${format.fixed(us / 1e6)} ${_("s")}`;
  },

  /** A number with a decimal prefix: `913.98 GFLOPs`. */
  scaled: (value, unit) => {
    if (!isKnown(value)) return DASH;
    for (const [scale, prefix] of [
      [1e15, "P"],
      [1e12, "T"],
      [1e9, "G"],
      [1e6, "M"],
      [1e3, "k"],
    ]) {
      if (Math.abs(value) >= scale) {
        const number = value / scale;
        return `${format.fixed(number, Math.abs(number) >= 100 ? 2 : 3)} ${prefix}${unit}`;
      }
    }
    return value ? `${format.count(value)} ${unit}` : "0";
  },

  flops: (value) => format.scaled(value, "FLOPs"),

  /** TFLOP/s, or GFLOP/s where there would be little left of them. */
  rate: (tflops) => {
    if (!isKnown(tflops)) return DASH;
    return tflops >= 1 ? `${format.fixed(tflops)} TFLOP/s` : `${format.fixed(tflops * 1e3)} GFLOP/s`;
  },

  bytes: (value) => {
    if (!isKnown(value)) return DASH;
    const units = [_("B"), _("kB"), _("MB"), _("GB"), _("TB")];
    let power = 0;
    while (power + 1 < units.length && Math.abs(value) >= 1000 ** (power + 1)) power++;
    const number = value / 1000 ** power;
    return power
      ? `${format.fixed(number, Math.abs(number) >= 100 ? 2 : 3)} ${units[power]}`
      : `${format.count(value)} ${units[0]}`;
  },

  percent: (share, digits = 1) => {
    if (!isKnown(share)) return DASH;
    const number = share > 0 && share < 1e-4 ? format.lessThan(2) : format.fixed(share * 100, digits);
    return `${number}${percentSign()}`;
  },

  /** A share beside others: with one decimal, and what is rounded to 0 and yet something as `<0.1%`. */
  share: (share) => {
    if (!isKnown(share)) return DASH;
    const shown = Math.round(share * 1000);
    return share > 0 && !shown
      ? `${format.lessThan(1)}${percentSign()}`
      : `${shown ? numberFormat(1).format(shown / 10) : "0"}${percentSign()}`;
  },
};
