import {
  ApplyPolicies,
  PlanPolicies,
  Policy,
  PolicyAction,
  PolicyHistory,
  PolicyList,
  PolicyPlan,
  PolicyText,
} from '../policies.ts';
import { AdoptedPoints, AdoptPoints, PolicyRetirement, RetirePolicyPoints } from './retention.ts';
import type { Route } from '../route.ts';
import { PolicyRun } from './runs.ts';
import { PolicySimulation } from './simulation.ts';

/** The routes of policies; all routes are in ROUTES. */
export const POLICY_ROUTES = {
  listPolicies: { method: 'GET', path: '/policies', scope: 'read', answer: PolicyList },
  getPolicy: { method: 'GET', path: '/policies/:policy', scope: 'read', answer: Policy },
  policyHistory: {
    method: 'GET',
    path: '/policies/:policy/revisions',
    scope: 'read',
    answer: PolicyHistory,
  },
  pausePolicy: {
    method: 'POST',
    path: '/policies/:policy/pause',
    scope: 'admin',
    body: PolicyAction,
    answer: Policy,
  },
  resumePolicy: {
    method: 'POST',
    path: '/policies/:policy/resume',
    scope: 'operate',
    body: PolicyAction,
    answer: Policy,
  },
  runPolicy: {
    method: 'POST',
    path: '/policies/:policy/run',
    scope: 'operate',
    body: PolicyAction,
    answer: PolicyRun,
  },
  retirePolicyPoints: {
    method: 'POST',
    path: '/policies/:policy/retire',
    scope: 'admin',
    body: RetirePolicyPoints,
    answer: PolicyRetirement,
  },
  adoptPoints: {
    method: 'POST',
    path: '/policies/:policy/adopt',
    scope: 'admin',
    body: AdoptPoints,
    answer: AdoptedPoints,
  },
  simulatePolicies: {
    method: 'GET',
    path: '/policy-simulation',
    scope: 'read',
    answer: PolicySimulation,
  },
  exportPolicies: { method: 'GET', path: '/policy-text', scope: 'read', answer: PolicyText },
  applyPolicies: {
    method: 'POST',
    path: '/policy-text',
    scope: 'admin',
    body: ApplyPolicies,
    answer: PolicyPlan,
  },
  planPolicies: {
    method: 'POST',
    path: '/policy-text/plan',
    scope: 'read',
    body: PlanPolicies,
    answer: PolicyPlan,
  },
} as const satisfies Readonly<Record<string, Route>>;
