/** Half hours, two hours, midnights that do not exist or exist twice, Ramadan, odd minutes. */
export const HARD_ZONES = [
  'Europe/Berlin',
  'America/New_York',
  'Australia/Lord_Howe',
  'Antarctica/Troll',
  'America/Havana',
  'Asia/Beirut',
  'Africa/Casablanca',
  'Pacific/Chatham',
  'America/St_Johns',
  'Asia/Gaza',
] as const;
